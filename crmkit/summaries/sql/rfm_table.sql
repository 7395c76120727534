-- values: as_of
select
    customer_id,
    cast(:as_of - max(case when bought = 1 then day end) as bigint) as days_since_last,
    cast(max(day_no) as bigint) as n_purchases,
    cast(sum(amount) as double) as total_spend
from {days}
where day <= :as_of
group by customer_id
having max(day_no) > 0
order by customer_id
