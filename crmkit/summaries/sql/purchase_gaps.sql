-- values: as_of. One row per member and item; several purchases on one day are one, and one that has been taken
-- back by as_of is none.
with days as (
    select customer_id, {item} as item, buy_day as day
    from {lines}
    where day <= :as_of and {item} is not null and customer_id is not null and units <> 0
    group by customer_id, {item}, buy_day
    having sum(units) > 0
),
gaps as (
    select customer_id, item, day, day - lag(day) over (partition by customer_id, item order by day) as gap
    from days
),
items as (
    select
        customer_id, item, count(*) as n, min(day) as first, max(day) as last, sum(gap * gap) as squares,
        sum(cast(case when gap > 0 then ln(gap) end as decimal(18, 12))) as logs
    from gaps
    group by customer_id, item
)
select
    customer_id,
    item as {item},
    cast(n as bigint) as n_purchases,
    cast(date '1970-01-01' + cast(first as integer) as timestamp_ntz) as first_day,
    cast(date '1970-01-01' + cast(last as integer) as timestamp_ntz) as last_day,
    cast(:as_of - last as bigint) as days_since_last,
    cast(last - first as double) / nullif(n - 1, 0) as mean_gap,
    case when n > 2 then
        sqrt(cast((n - 1) * squares - (last - first) * (last - first) as double) / ((n - 1) * (n - 2)))
    end as sd_gap,
    cast(logs as double) / nullif(n - 1, 0) as mean_log_gap
from items
order by customer_id, item
