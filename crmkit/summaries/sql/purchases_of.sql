-- values: as_of. What some customers bought and took back, a row per customer, day, receipt and category.
select
    l.customer_id,
    cast(date '1970-01-01' + cast(l.day as integer) as timestamp_ntz) as day,
    coalesce(l.order_id, '') as receipt,
    l.category,
    cast(sum(l.amount) as double) as amount,
    cast(sum(case when l.units > 0 then 1 else 0 end) as bigint) as items,
    cast(coalesce(sum(l.discount), 0) as double) as discount
from {lines} l
where l.day <= :as_of and l.customer_id in (select customer_id from {members})
group by l.customer_id, l.day, coalesce(l.order_id, ''), l.category
order by l.customer_id, day, receipt, category
