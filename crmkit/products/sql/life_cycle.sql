-- values: as_of. Sales of each item in each run of 28 days before the close of a day, the latest run being 0,
-- with the first day on which the item was sold, and anything.
with opened as (
    select min(day) as opening from {lines} where day <= :as_of and units > 0
),
placed as (
    select {item} as item, cast(floor((:as_of - day) / 28) as integer) as ago, day, amount, units
    from {lines}
    where day <= :as_of and {item} is not null
),
runs as (
    select
        item,
        ago,
        min(case when units > 0 then day end) as first,
        sum(amount) as sales,
        sum(case when units > 0 then 1 else 0 end) as items
    from placed
    group by item, ago
)
select
    item,
    ago,
    cast(min(first) over (partition by item) as bigint) as first,
    cast(opening as bigint) as opening,
    cast(sales as double) as sales,
    cast(items as bigint) as items
from runs cross join opened
order by item, ago
