-- values: as_of. Money of each month by what the lines are: sales, returns and how they found their sale, other kinds.
with placed as (
    select
        unix_date(cast(date_trunc('month', date '1970-01-01' + cast(day as integer)) as date)) as starts,
        kind, coalesce(how, '') as how, amount
    from {lines}
    where day <= :as_of
)
select
    cast(date '1970-01-01' + cast(starts as integer) as timestamp_ntz) as period,
    kind,
    how,
    cast(count(*) as bigint) as lines,
    cast(sum(amount) as double) as sales
from placed
group by starts, kind, how
order by starts, kind, how
