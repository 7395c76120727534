-- values: as_of. The mean leaves the money of the first purchase day out, which stands by itself. What was taken back comes off the day that brought it;
-- when no sale was found for it, off the day on which it came back, or, if nothing was bought then, off the repeat
-- purchases. A day on which nothing was bought adds nothing, and one before the first purchase (0) takes nothing.
select
    customer_id,
    cast(max(day_no) - 1 as bigint) as frequency,
    cast(max(case when bought = 1 then day end) - min(case when bought = 1 then day end) as bigint) as recency,
    cast(:as_of - min(case when bought = 1 then day end) as bigint) as T,
    cast(sum(case when day_no > 1 or (day_no is null and amount < 0) then amount end) as double)
        / nullif(max(day_no) - 1, 0) as monetary_value,
    cast(coalesce(sum(log_gap), 0) as double) as sum_log_gap,
    cast(sum(case when day_no = 1 then amount end) as double) as first_value
from {days}
where day <= :as_of
group by customer_id
having max(day_no) > 0
order by customer_id
