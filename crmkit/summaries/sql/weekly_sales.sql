-- values: as_of. Weeks begin on Monday; days are those from the first sale of all to as_of that lie in the week.
select
    cast(date '1970-01-01' + cast(day - (day + 3) % 7 as integer) as timestamp_ntz) as week,
    cast(sum(amount) as double) as sales,
    cast(count(distinct customer_id) as bigint) as customers,
    cast(count(*) as bigint) as receipts,
    cast(
        least(day - (day + 3) % 7 + 6, :as_of) - greatest(day - (day + 3) % 7, min(min(day)) over ()) + 1 as bigint
    ) as days
from {trips}
where day <= :as_of
group by day - (day + 3) % 7
order by week
