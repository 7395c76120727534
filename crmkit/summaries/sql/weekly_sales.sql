-- values: as_of. Weeks begin on Monday; an unfinished last week is in it.
select
    cast(date '1970-01-01' + cast(day - (day + 3) % 7 as integer) as timestamp_ntz) as week,
    cast(sum(amount) as double) as sales,
    cast(count(distinct customer_id) as bigint) as customers,
    cast(count(*) as bigint) as receipts
from {trips}
where day <= :as_of
group by day - (day + 3) % 7
order by week
