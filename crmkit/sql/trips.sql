-- One row per member, day and receipt. What looks back is kept here, once, so that every summary is one group by:
--   gap     days since the member's previous purchase day; on the first receipt of each purchase day but the first
--   day_no  1 on the member's first purchase day, 2 on the second, …
-- Both are null on receipts where nothing was bought (returns only).
with receipts as (
    select
        customer_id,
        day,
        coalesce(order_id, '') as order_id,
        min(hour) as hour,
        cast(sum(amount) as decimal(18, 4)) as amount,
        cast(sum(coalesce(discount, 0)) as decimal(18, 4)) as discount,
        cast(count(*) as bigint) as n_lines,
        cast(sum(case when amount >= 0 and coalesce(quantity, 1) > 0 then 1 else 0 end) as bigint) as n_bought
    from {lines}
    group by customer_id, day, coalesce(order_id, '')
),
steps as (
    select
        *,
        case when n_bought > 0 then
            day - lag(day) over (partition by customer_id, n_bought > 0 order by day, order_id)
        end as step
    from receipts
)
select
    customer_id, day, order_id, hour, amount, discount, n_lines, n_bought,
    case when step > 0 then step end as gap,
    case when n_bought > 0 then
        cast(1 + sum(case when step > 0 then 1 else 0 end) over (
            partition by customer_id, n_bought > 0 order by day, order_id
            rows between unbounded preceding and current row) as bigint)
    end as day_no
from steps
order by customer_id, day, order_id
