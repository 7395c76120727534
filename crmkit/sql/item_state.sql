-- values: as_of, as_of. What is known of each member and item at the close of a day; purchases of one day are one.
with days as (
    select customer_id, {item} as item, day, sum(amount) as amount
    from {lines}
    where day <= ? and {item} is not null and amount >= 0 and coalesce(quantity, 1) > 0
    group by customer_id, {item}, day
)
select
    customer_id,
    item,
    cast(count(*) - 1 as bigint) as frequency,
    cast(max(day) - min(day) as bigint) as recency,
    cast(? - min(day) as bigint) as T,
    cast(sum(amount) as double) / count(*) as spend
from days
group by customer_id, item
order by customer_id, item
