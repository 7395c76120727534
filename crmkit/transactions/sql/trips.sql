-- One row per member, day and receipt; lines without a receipt number are one receipt per member and day.
select
    customer_id,
    day,
    coalesce(order_id, '') as order_id,
    min(hour) as hour,
    cast(sum(amount) as decimal(18, 4)) as amount,
    cast(sum(coalesce(discount, 0)) as decimal(18, 4)) as discount,
    cast(count(*) as bigint) as n_lines,
    cast(sum(case when units > 0 then 1 else 0 end) as bigint) as n_bought
from {lines}
where customer_id is not null
group by customer_id, day, coalesce(order_id, '')
