-- values: as_of, days, as_of, days, as_of. Money per week since the first purchase, or over the last so many days.
select
    customer_id,
    7.0 * cast(sum(case when day > ? - ? then amount else 0 end) as double)
        / greatest(7, least(? - min(day) + 1, ?)) as weekly_spend
from {days}
where day <= ?
group by customer_id
order by customer_id
