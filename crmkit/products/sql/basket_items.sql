-- values: since, as_of, support. One row per basket and item on which goods were bought, of the items that so many baskets
-- have, and whether the item was promoted on that day; items are numbered in their order. A basket is a receipt: its number, day,
-- customer and store, as far as they are known; or all that a customer bought.
with bought as (
    select {basket} as basket, l.{item} as item, max(case when p.day is not null then 1 else 0 end) as promoted
    from {lines} l left join {promoted} p on p.item = l.{item} and p.day = l.day
    where l.day > :since and l.day <= :as_of and l.units > 0 and l.{item} is not null
    group by {basket}, l.{item}
),
numbered as (
    select item, count(*) as baskets, row_number() over (order by item) as code
    from bought
    group by item
    having count(*) >= :support
)
select b.basket, n.code, n.item, n.baskets, b.promoted
from bought b inner join numbered n on n.item = b.item
