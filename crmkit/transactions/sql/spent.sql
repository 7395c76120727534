-- What each member spent: one row per member, day of purchase and day of the money, which is later for what is taken back.
--   bought   1 where goods were bought on the day
select
    customer_id,
    buy_day,
    day,
    cast(sum(amount) as decimal(18, 4)) as amount,
    max(case when units > 0 then 1 else 0 end) as bought
from {lines}
where customer_id is not null
group by customer_id, buy_day, day
