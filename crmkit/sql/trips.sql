-- One row per member, day and receipt (and, for what is taken back, the purchase day it belongs to). What looks back is
-- kept here, once, so that every summary is one group by:
--   gap     days since the member's previous purchase day; on the first row of each purchase day but the first
--   day_no  1 on the member's first purchase day, 2 on the second, …; money taken back bears its purchase's number
-- Both are null where no purchase day is concerned (returns that match no sale).
with receipts as (
    select
        customer_id,
        day,
        coalesce(order_id, '') as order_id,
        buy_day,
        min(hour) as hour,
        cast(sum(amount) as decimal(18, 4)) as amount,
        cast(sum(coalesce(discount, 0)) as decimal(18, 4)) as discount,
        cast(count(*) as bigint) as n_lines,
        cast(sum(case when units > 0 then 1 else 0 end) as bigint) as n_bought
    from {lines}
    where customer_id is not null
    group by customer_id, day, coalesce(order_id, ''), buy_day
),
marked as (
    select
        *,
        max(n_bought) over (partition by customer_id, buy_day) > 0 as concerns_purchase,
        row_number() over (partition by customer_id, day, order_id order by buy_day desc) = 1 as is_receipt
    from receipts
),
steps as (
    select
        *,
        buy_day - lag(buy_day) over (
            partition by customer_id, concerns_purchase order by buy_day, day, n_bought desc, order_id
        ) as step
    from marked
)
select
    customer_id, day, order_id, hour, amount, discount, n_lines, n_bought, is_receipt,
    case when concerns_purchase and step > 0 then step end as gap,
    case when concerns_purchase then
        cast(1 + sum(case when step > 0 then 1 else 0 end) over (
            partition by customer_id, concerns_purchase order by buy_day, day, n_bought desc, order_id
            rows between unbounded preceding and current row) as bigint)
    end as day_no
from steps
order by customer_id, day, order_id, day_no
