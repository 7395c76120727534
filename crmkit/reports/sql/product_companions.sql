-- values: product, as_of. What stands in baskets with a product: how many of these, how many baskets have it at all.
with bought as (
    select distinct {basket} as basket, product_id, category
    from {lines}
    where day <= :as_of and units > 0 and product_id is not null
),
own as (
    select basket from bought where product_id = :product
),
beside as (
    select b.product_id, count(*) as baskets
    from bought b inner join own o on o.basket = b.basket
    where b.product_id <> :product
    group by b.product_id
    having count(*) >= 3
)
select
    s.product_id,
    cast(s.baskets as bigint) as baskets,
    cast(s.baskets as double) / cast((select count(*) from own) as double) as share_of_baskets,
    cast(s.baskets as double) * cast((select count(distinct basket) from bought) as double)
        / (cast((select count(*) from own) as double) * cast(a.baskets as double)) as lift
from beside s
inner join (select product_id, count(*) as baskets from bought group by product_id) a on a.product_id = s.product_id
order by baskets desc, lift desc, s.product_id
limit 8
