-- values: as_of, window. What is known of each member at the close of a
-- day: since when it buys, how many items (one of which all has been taken back is none), how often in four weeks, and in
-- which share of the weeks of the window, or of those since the first purchase, if that is later (weeks begun count; at
-- least four).
with bought as (
    select customer_id, min(day) as first
    from {trips}
    where day <= :as_of and n_bought > 0
    group by customer_id
),
kept as (
    select customer_id
    from {lines}
    where day <= :as_of and {item} is not null and customer_id is not null and units <> 0
    group by customer_id, {item}
    having sum(units) > 0
),
width as (
    select customer_id, cast(count(*) as bigint) as breadth
    from kept
    group by customer_id
),
money as (
    select customer_id, cast(sum(amount) as double) as sales
    from {trips}
    where day <= :as_of
    group by customer_id
),
lately as (
    select
        customer_id,
        cast(count(distinct day) as bigint) as visits,
        cast(count(distinct cast(floor((:as_of - day) / 7) as integer)) as bigint) as weeks
    from {trips}
    where day <= :as_of and day > :as_of - :window and n_bought > 0
    group by customer_id
)
select
    b.customer_id,
    cast(:as_of - b.first as bigint) as length,
    coalesce(w.breadth, 0) as breadth,
    cast(28 * coalesce(v.visits, 0) as double) / greatest(28, least(:window, :as_of - b.first + 1)) as contact,
    cast(coalesce(v.weeks, 0) as double) / greatest(4, floor((least(:window, :as_of - b.first + 1) + 6) / 7)) as regularity,
    m.sales
from bought b
left join width w on w.customer_id = b.customer_id
left join money m on m.customer_id = b.customer_id
left join lately v on v.customer_id = b.customer_id
order by b.customer_id
