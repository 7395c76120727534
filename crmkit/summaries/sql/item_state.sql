-- values: as_of. What is known of each member and item at the close of a day;
-- purchases of one day are one, and one that has been taken back by then is none. Items of the table `excluded` are left
-- out. faded_τ is the sum of exp(-age / τ) over days of purchase: days long ago count for less; exact decimals make the
-- sums the same in whatever order the rows come.
with days as (
    select customer_id, {item} as item, buy_day as day, sum(amount) as amount
    from {lines}
    where day <= :as_of and {item} is not null and customer_id is not null and units <> 0
        and {item} not in (select item from {excluded})
    group by customer_id, {item}, buy_day
    having sum(units) > 0
),
steps as (
    select
        *,
        cast(:as_of - day as double) as age,
        day - lag(day) over (partition by customer_id, item order by day) as gap
    from days
),
pairs as (
    select
        customer_id,
        item,
        cast(count(*) as bigint) as n,
        min(day) as first,
        max(day) as last,
        sum(amount) as amount,
        sum(cast(case when gap > 0 then ln(gap) end as decimal(18, 12))) as log_gaps,
        cast(sum(case when age < 28 then 1 else 0 end) as bigint) as recent_28,
        cast(sum(case when age < 84 then 1 else 0 end) as bigint) as recent_84,
        sum(cast(exp(-age / 45) as decimal(38, 18))) as faded_45,
        sum(cast(exp(-age / 150) as decimal(38, 18))) as faded_150,
        sum(cast(exp(-age / 250) as decimal(38, 18))) as faded_250
    from steps
    group by customer_id, item
),
visits as (
    select
        customer_id,
        day,
        cast(:as_of - day as double) as age,
        day - lag(day) over (partition by customer_id order by day) as gap
    from {trips}
    where day <= :as_of and n_bought > 0
    group by customer_id, day
),
counted as (
    select
        *,
        count(*) over (partition by customer_id order by day) as n,
        sum(cast(exp(-age / 250) as decimal(38, 18))) over (partition by customer_id order by day) as faded_250
    from visits
),
members as (
    select
        customer_id,
        count(*) as n,
        min(day) as first,
        max(day) as last,
        sum(cast(case when gap > 0 then ln(gap) end as decimal(18, 12))) as log_gaps,
        cast(sum(case when age < 14 then 1 else 0 end) as bigint) as recent_14,
        cast(sum(case when age < 28 then 1 else 0 end) as bigint) as recent_28,
        cast(sum(case when age < 84 then 1 else 0 end) as bigint) as recent_84,
        cast(sum(cast(exp(-age / 20) as decimal(38, 18))) as double) as faded_20,
        cast(sum(cast(exp(-age / 60) as decimal(38, 18))) as double) as faded_60,
        cast(sum(cast(exp(-age / 150) as decimal(38, 18))) as double) as faded_150,
        max(faded_250) as faded_250
    from counted
    group by customer_id
),
baskets as (
    select
        customer_id,
        cast(count(*) as bigint) as n_items,
        cast(sum(n) as bigint) as n,
        sum(faded_45) as faded_45,
        sum(faded_250) as faded_250
    from pairs
    group by customer_id
),
items as (
    select
        item,
        cast(sum(recent_28) as bigint) as recent_28,
        cast(sum(recent_84) as bigint) as recent_84
    from pairs
    group by item
)
select
    p.customer_id,
    p.item,
    p.n - 1 as frequency,
    cast(p.last - p.first as bigint) as recency,
    cast(:as_of - p.first as bigint) as T,
    cast(p.amount as double) / p.n as spend,
    coalesce(cast(p.log_gaps as double), 0) as sum_log_gap,
    p.recent_28,
    p.recent_84,
    cast(p.faded_45 as double) as faded_45,
    cast(p.faded_150 as double) as faded_150,
    cast(p.faded_250 as double) as faded_250,
    cast(m.n as bigint) as trips,
    cast(m.last - m.first as bigint) as trip_recency,
    cast(:as_of - m.first as bigint) as trip_T,
    coalesce(cast(m.log_gaps as double), 0) as sum_log_trip_gap,
    m.recent_14 as trips_14,
    m.recent_28 as trips_28,
    m.recent_84 as trips_84,
    m.faded_20 as trips_faded_20,
    m.faded_60 as trips_faded_60,
    m.faded_150 as trips_faded_150,
    cast(m.faded_250 as double) as trips_faded_250,
    cast(m.n - l.n as bigint) as trips_since_last,
    cast(m.faded_250 - f.faded_250 as double) as trips_faded_since_first,
    b.n_items,
    b.n as n_item_days,
    cast(b.faded_45 as double) as items_faded_45,
    cast(b.faded_250 as double) as items_faded_250,
    i.recent_28 as item_recent_28,
    i.recent_84 as item_recent_84
from pairs p
join members m on m.customer_id = p.customer_id
join counted f on f.customer_id = p.customer_id and f.day = p.first
join counted l on l.customer_id = p.customer_id and l.day = p.last
join baskets b on b.customer_id = p.customer_id
join items i on i.item = p.item
order by p.customer_id, p.item
