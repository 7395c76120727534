-- values: as_of, receipts, stores (the most of a day). Cards that are used as no single member shops.
with days as (
    select customer_id, day, count(distinct order_id) as n_receipts, count(distinct store) as n_stores
    from {lines}
    where day <= :as_of and customer_id is not null
    group by customer_id, day
)
select
    customer_id,
    cast(max(n_receipts) as bigint) as most_receipts,
    cast(max(n_stores) as bigint) as most_stores,
    cast(count(*) as bigint) as n_days
from days
group by customer_id
having max(n_receipts) > :receipts or max(n_stores) > :stores
order by customer_id
