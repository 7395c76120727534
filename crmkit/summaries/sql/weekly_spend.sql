-- values: as_of, window. Money per week since the first purchase, or over the last so many days.
with bought as (
    select customer_id, min(day) as first
    from {days}
    where day <= :as_of and bought = 1
    group by customer_id
)
select
    b.customer_id,
    7.0 * cast(coalesce(sum(d.amount), 0) as double) / greatest(7, least(:as_of - b.first + 1, :window)) as weekly_spend
from bought b
left join {days} d on d.customer_id = b.customer_id and d.day >= b.first and d.day <= :as_of and d.day > :as_of - :window
group by b.customer_id, b.first
order by b.customer_id
