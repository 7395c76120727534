-- values: as_of, period. One row per cohort and period, numbered by whole weeks, months or quarters, with the customers who
-- bought and their money. The money of a period is what was paid less what was taken back in it.
with numbered as (
    select
        customer_id, day, amount, bought,
        case :period
            when 'week' then cast(floor((day + 3) / 7) as bigint)
            when 'month' then
                cast(12 * year(date '1970-01-01' + cast(day as integer)) + month(date '1970-01-01' + cast(day as integer)) - 1 as bigint)
            else
                cast(4 * year(date '1970-01-01' + cast(day as integer)) + quarter(date '1970-01-01' + cast(day as integer)) - 1 as bigint)
        end as period
    from {days}
    where day <= :as_of
),
begun as (
    select customer_id, min(day) as first_day, min(period) as cohort from numbered where bought = 1 group by customer_id
)
select
    b.cohort,
    n.period - b.cohort as period,
    count(distinct case when n.bought = 1 then n.customer_id end) as active,
    cast(sum(n.amount) as double) as revenue
from numbered n inner join begun b on b.customer_id = n.customer_id
where n.day >= b.first_day
group by b.cohort, n.period - b.cohort
order by cohort, period
