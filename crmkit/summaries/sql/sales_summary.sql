-- values: as_of, period. One row per period and group of the columns in by.
-- Money, receipts and lines add up over days; members do not, so they are counted last. A sale stands in its own period
-- and, 364 days later, as the year before of another, if that other period was open on all those days. The first day with
-- a sale on opens the log (the first with any line, if there is no sale).
with opened as (
    select coalesce(min(case when units > 0 then day end), min(day)) as opening from {lines} where day <= :as_of
),
receipts as (
    select
        day{by},
        customer_id as member,
        order_id,
        sum(amount) as amount,
        sum(case when units > 0 then 1 else 0 end) as items
    from {lines}
    where day <= :as_of
    group by day{by}, customer_id, order_id, store
),
moved as (
    select day, 0 as years_ago{by}, member, amount, items from receipts
    union all
    select day + 364 as day, 1 as years_ago{by}, member, amount, items from receipts where day + 364 <= :as_of
),
placed as (
    select
        case :period
            when 'day' then day
            when 'week' then day - (day + 3) % 7
            when 'month' then unix_date(cast(date_trunc('month', date '1970-01-01' + cast(day as integer)) as date))
            when 'year' then unix_date(cast(date_trunc('year', date '1970-01-01' + cast(day as integer)) as date))
            else opening
        end as starts,
        opening, years_ago{by}, member, amount, items
    from moved cross join opened
),
members as (
    select starts, years_ago{by}, member, sum(amount) as amount, count(*) as receipts, sum(items) as items
    from placed
    where years_ago = 0 or starts - 364 >= opening
    group by starts, years_ago{by}, member
),
periods as (
    select
        starts{by},
        sum(case when years_ago = 0 then amount else 0 end) as sales,
        count(case when years_ago = 0 then member end) as customers,
        sum(case when years_ago = 0 then receipts else 0 end) as receipts,
        sum(case when years_ago = 0 then items else 0 end) as items,
        sum(case when years_ago = 1 then amount else 0 end) as sales_before,
        count(case when years_ago = 1 then member end) as customers_before,
        sum(case when years_ago = 1 then receipts else 0 end) as receipts_before,
        sum(case when years_ago = 1 then items else 0 end) as items_before
    from members
    group by starts{by}
),
bounded as (
    select
        *,
        starts - 364 >= opening as has_before,
        case :period
            when 'day' then starts
            when 'week' then starts + 6
            when 'month' then
                unix_date(cast(date '1970-01-01' + cast(starts as integer) + interval '1' month as date)) - 1
            when 'year' then
                unix_date(cast(date '1970-01-01' + cast(starts as integer) + interval '1' year as date)) - 1
            else :as_of
        end as ends
    from periods cross join opened
)
select
    cast(date '1970-01-01' + cast(starts as integer) as timestamp_ntz) as period{by},
    cast(greatest(0, least(ends, :as_of) - greatest(starts, opening) + 1) as bigint) as days,
    cast(sales as double) as sales,
    cast(customers as bigint) as customers,
    cast(receipts as bigint) as receipts,
    cast(items as bigint) as items,
    case when has_before then cast(sales_before as double) end as sales_year_ago,
    case when has_before then cast(customers_before as bigint) end as customers_year_ago,
    case when has_before then cast(receipts_before as bigint) end as receipts_year_ago,
    case when has_before then cast(items_before as bigint) end as items_year_ago,
    case when has_before and sales_before > 0 then cast(sales as double) / cast(sales_before as double) - 1 end as change
from bounded
order by starts{order}
