-- values: as_of, period. One row per period and what the customers of it are: new (their first purchase), retained (bought in the
-- period before), returning (bought earlier than that), lapsed (bought in the period before and not in this one), or returns only
-- (money came back, nothing was bought); with their money in this period and in the one before.
with numbered as (
    select
        customer_id, amount, n_bought,
        case :period
            when 'week' then cast(floor((day + 3) / 7) as bigint)
            when 'month' then
                cast(12 * year(date '1970-01-01' + cast(day as integer)) + month(date '1970-01-01' + cast(day as integer)) - 1 as bigint)
            else
                cast(4 * year(date '1970-01-01' + cast(day as integer)) + quarter(date '1970-01-01' + cast(day as integer)) - 1 as bigint)
        end as period
    from {trips}
    where day <= :as_of
),
own as (
    select
        customer_id, period,
        sum(amount) as amount,
        sum(case when n_bought > 0 then 1 else 0 end) as receipts,
        sum(n_bought) as items
    from numbered
    group by customer_id, period
),
bought as (
    select
        customer_id, period, amount, receipts, items,
        lag(period) over (partition by customer_id order by period) as period_before,
        lag(amount) over (partition by customer_id order by period) as amount_before,
        lead(period) over (partition by customer_id order by period) as period_after
    from own
    where receipts > 0
),
told as (
    select
        period,
        case when period_before is null then 'new' when period_before = period - 1 then 'retained' else 'returning' end as status,
        1 as customers, receipts, items, amount,
        case when period_before = period - 1 then amount_before else 0 end as amount_before
    from bought
    union all
    select period + 1 as period, 'lapsed' as status, 1 as customers, 0 as receipts, 0 as items, 0 as amount, amount as amount_before
    from bought
    where period_after is null or period_after > period + 1
    union all
    select period, 'returns only' as status, 1 as customers, 0 as receipts, 0 as items, amount, 0 as amount_before
    from own
    where receipts = 0
    union all
    select period + 1 as period, 'returns only' as status, 0 as customers, 0 as receipts, 0 as items, 0 as amount, amount as amount_before
    from own
    where receipts = 0
)
select
    period,
    status,
    cast(sum(customers) as bigint) as customers,
    cast(sum(receipts) as bigint) as receipts,
    cast(sum(items) as bigint) as items,
    cast(sum(amount) as double) as revenue,
    cast(sum(amount_before) as double) as revenue_before
from told
group by period, status
order by period, status
