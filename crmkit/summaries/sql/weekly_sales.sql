-- values: as_of. Weeks begin on Monday; days are those from the first sale of all to as_of that lie in the week.
select
    cast(date '1970-01-01' + cast(monday as integer) as timestamp_ntz) as week,
    sales,
    customers,
    receipts,
    cast(least(monday + 6, :as_of) - greatest(monday, min(first_day) over ()) + 1 as bigint) as days
from (
    select
        day - (day + 3) % 7 as monday,
        min(day) as first_day,
        cast(sum(amount) as double) as sales,
        cast(count(distinct customer_id) as bigint) as customers,
        cast(count(*) as bigint) as receipts
    from {trips}
    where day <= :as_of
    group by day - (day + 3) % 7
) as weeks
order by week
