-- values: customer_id, as_of. What one customer bought and took back, a row per day, receipt and category.
select
    cast(date '1970-01-01' + cast(day as integer) as timestamp_ntz) as day,
    coalesce(order_id, '') as receipt,
    category,
    cast(sum(amount) as double) as amount,
    cast(sum(case when units > 0 then 1 else 0 end) as bigint) as items
from {lines}
where customer_id = :customer_id and day <= :as_of
group by day, coalesce(order_id, ''), category
order by day, receipt, category
