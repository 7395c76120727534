-- One row per member and day, and one more for what a later day takes back of it. What looks back is kept here, once, so
-- that every summary is one group by:
--   day_no   1 on the member's first purchase day, 2 on the second, …; what is taken back bears its purchase's number
--   log_gap  logarithm of the days since the purchase day before; a decimal, so that sums do not depend on the order
-- day_no is null where no purchase is concerned (a day of returns that match no sale), and 0 before the first purchase.
with steps as (
    select
        *,
        bought = 1 or buy_day < day as concerns_purchase,
        buy_day - max(case when bought = 1 or buy_day < day then buy_day end) over (
            partition by customer_id order by buy_day, day rows between unbounded preceding and 1 preceding
        ) as gap,
        sum(bought) over (
            partition by customer_id order by buy_day, day rows between unbounded preceding and current row
        ) as so_far
    from {spent}
)
select
    customer_id, buy_day, day, amount, bought,
    case when concerns_purchase or so_far = 0 then cast(so_far as bigint) end as day_no,
    cast(case when concerns_purchase and gap > 0 then ln(gap) end as decimal(18, 12)) as log_gap
from steps
