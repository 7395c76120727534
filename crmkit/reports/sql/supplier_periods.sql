-- values: supplier, as_of, period. What each member bought in each month or quarter of the categories in which a supplier sells:
-- of its own goods, by brand, and of all others together.
with sold as (
    select customer_id as member, day, coalesce({brand}, '') as brand, {category} as category, amount, units,
        case when {maker} = :supplier then 1 else 0 end as own
    from {lines}
    where day <= :as_of
),
sells as (
    select distinct category from sold where own = 1 and category is not null
),
placed as (
    select
        unix_date(cast(date_trunc(:period, date '1970-01-01' + cast(day as integer)) as date)) as starts,
        member, day, case when own = 1 then brand else '' end as brand, own, amount, units
    from sold
    where member is not null and (own = 1 or category in (select category from sells))
),
visits as (
    select starts, member, own, count(distinct case when units > 0 then day end) as days
    from placed
    group by starts, member, own
),
brands as (
    select starts, member, own, brand, sum(amount) as amount, sum(case when units > 0 then 1 else 0 end) as lines
    from placed
    group by starts, member, own, brand
)
select
    cast(b.starts as bigint) as starts,
    b.member as customer_id,
    b.own,
    b.brand,
    cast(b.amount as double) as amount,
    cast(b.lines as bigint) as lines,
    cast(v.days as bigint) as days
from brands b inner join visits v on v.starts = b.starts and v.member = b.member and v.own = b.own
order by b.starts, b.member, b.own, b.brand
