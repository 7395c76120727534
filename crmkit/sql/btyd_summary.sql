-- values: as_of, as_of, as_of. Money of the first purchase day is left out. What was taken back comes off the day that
-- brought it; when no sale was found for it, off the day on which it came back, or, if nothing was bought then, off the
-- repeat purchases. A day on which nothing was bought adds nothing, and one before the first purchase takes nothing.
with members as (
    select
        customer_id,
        max(day_no) as n_purchases,
        min(case when bought = 1 then day end) as first,
        max(case when bought = 1 then day end) as latest,
        sum(case when day_no > 1 then amount end) as repeat_money,
        sum(log_gap) as sum_log_gap
    from {days}
    where day <= ?
    group by customer_id
    having max(day_no) is not null
),
unmatched as (
    select d.customer_id, sum(d.amount) as amount
    from {days} as d
    join members as m on m.customer_id = d.customer_id and d.day >= m.first
    where d.day_no is null and d.amount < 0 and d.day <= ?
    group by d.customer_id
)
select
    m.customer_id,
    cast(m.n_purchases - 1 as bigint) as frequency,
    cast(m.latest - m.first as bigint) as recency,
    cast(? - m.first as bigint) as T,
    cast(m.repeat_money + coalesce(u.amount, 0) as double) / nullif(m.n_purchases - 1, 0) as monetary_value,
    cast(coalesce(m.sum_log_gap, 0) as double) as sum_log_gap
from members as m
left join unmatched as u on u.customer_id = m.customer_id
order by m.customer_id
