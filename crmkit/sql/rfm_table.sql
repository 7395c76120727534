-- values: as_of, as_of
select
    customer_id,
    cast(? - max(case when n_bought > 0 then day end) as bigint) as days_since_last,
    cast(max(day_no) as bigint) as n_purchases,
    cast(sum(amount) as double) as total_spend
from {trips}
where day <= ?
group by customer_id
having max(day_no) is not null
order by customer_id
