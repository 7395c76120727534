-- values: as_of, as_of. What is known of each member and item at the close of a day; purchases of one day are one,
-- and one that has been taken back by then is none. Items of the table `excluded` are left out.
with days as (
    select customer_id, {item} as item, buy_day as day, sum(amount) as amount
    from {lines}
    where day <= ? and {item} is not null and customer_id is not null and units <> 0
        and {item} not in (select item from {excluded})
    group by customer_id, {item}, buy_day
    having sum(units) > 0
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
