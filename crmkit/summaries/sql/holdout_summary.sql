-- values: split, until. Members known at the split, and what they did after it.
select
    customer_id,
    cast(max(day_no) - max(case when day <= :split then day_no end) as bigint) as holdout_purchases,
    cast(coalesce(sum(case when day > :split then amount end), 0) as double) as holdout_spend
from {days}
where day <= :until
group by customer_id
having min(case when bought = 1 then day end) <= :split
order by customer_id
