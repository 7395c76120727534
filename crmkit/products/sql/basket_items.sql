-- values: since, as_of, support. One row per basket and item on which goods were bought, of the items that so many baskets
-- have; items are numbered in their order. A basket is a receipt: its number, day, customer and store, as far as they are known.
with bought as (
    select distinct {basket} as basket, {item} as item
    from {lines}
    where day > :since and day <= :as_of and units > 0 and {item} is not null
),
numbered as (
    select item, count(*) as baskets, row_number() over (order by item) as code
    from bought
    group by item
    having count(*) >= :support
)
select b.basket, n.code, n.item, n.baskets
from bought b inner join numbered n on n.item = b.item
