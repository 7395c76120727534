-- values: as_of. Days from the first purchase day to the second, or as far as the customer was watched without one, and how
-- many customers share them.
with waits as (
    select
        customer_id,
        min(case when day_no = 1 and bought = 1 then day end) as first_day,
        min(case when day_no = 2 and bought = 1 then day end) as second_day
    from {days}
    where day <= :as_of
    group by customer_id
)
select
    cast(coalesce(second_day, :as_of) - first_day as bigint) as days,
    cast(count(second_day) as bigint) as returned,
    cast(count(*) as bigint) as customers
from waits
where first_day is not null
group by coalesce(second_day, :as_of) - first_day
order by days
