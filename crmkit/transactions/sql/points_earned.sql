-- values: as_of. Points of one rule: whole steps of what was bought on a day, and what later days take back of them.
with counted as (
    select l.customer_id, l.buy_day, l.day, sum({measure}) as measured
    from {lines} l
    where l.customer_id is not null and l.day <= :as_of and ({condition})
    group by l.customer_id, l.buy_day, l.day
),
so_far as (
    select
        customer_id, buy_day, day,
        sum(measured) over (
            partition by customer_id, buy_day order by day rows between unbounded preceding and current row
        ) as total
    from counted
),
due as (
    select customer_id, buy_day, day, cast(sign(total) * floor(cast(abs(total) * 10000 as double) / {step}) as bigint) as points
    from so_far
),
moved as (
    select customer_id, day, points - coalesce(lag(points) over (partition by customer_id, buy_day order by day), 0) as points
    from due
)
select customer_id, day, case when points < 0 then 'returned' else '{kind}' end as kind, {rule} as rule, points
from moved
where points <> 0
