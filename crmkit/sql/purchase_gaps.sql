-- values: as_of, as_of. One row per member and item; several purchases on one day are one, and one that has been taken
-- back by as_of is none.
with days as (
    select customer_id, {item} as item, buy_day as day
    from {lines}
    where day <= ? and {item} is not null and customer_id is not null and units <> 0
    group by customer_id, {item}, buy_day
    having sum(units) > 0
),
gaps as (
    select customer_id, item, day, day - lag(day) over (partition by customer_id, item order by day) as gap
    from days
)
select
    customer_id,
    item as {item},
    cast(count(*) as bigint) as n_purchases,
    cast(date '1970-01-01' + cast(min(day) as integer) as timestamp_ntz) as first_day,
    cast(date '1970-01-01' + cast(max(day) as integer) as timestamp_ntz) as last_day,
    cast(? - max(day) as bigint) as elapsed,
    cast(max(day) - min(day) as double) / nullif(count(gap), 0) as mean_gap,
    case when count(gap) > 1 then
        sqrt(cast(count(gap) * sum(gap * gap) - sum(gap) * sum(gap) as double) / (count(gap) * (count(gap) - 1)))
    end as sd_gap,
    cast(sum(cast(case when gap > 0 then ln(gap) end as decimal(18, 12))) as double) / nullif(count(gap), 0)
        as mean_log_gap
from gaps
group by customer_id, item
order by customer_id, item
