-- values: as_of, opens. Products whose first sale, to anybody, is after the first days of the log: of each, by the days that its
-- triers waited for a second purchase (or were watched without one), how many; and the buyers of its category since the launch.
with chosen as (
    select customer_id, day, units, product_id, category from {lines} where day <= :as_of and units > 0 and product_id is not null
),
first_sale as (
    select product_id, max(category) as category, min(day) as launched
    from {lines} l
    where day <= :as_of and units > 0 and product_id is not null and ({condition})
    group by product_id
),
launches as (
    select f.* from first_sale f cross join (select min(day) as opening from chosen) o where f.launched > o.opening + :opens
),
days as (
    select distinct c.customer_id, c.product_id, c.day
    from chosen c inner join launches f on c.product_id = f.product_id
    where c.customer_id is not null
),
numbered as (
    select *, row_number() over (partition by customer_id, product_id order by day) as place from days
),
triers as (
    select
        customer_id, product_id,
        min(day) as first_day,
        min(case when place = 2 then day end) as second_day
    from numbered
    group by customer_id, product_id
),
buyers as (
    select f.product_id, count(distinct c.customer_id) as category_buyers
    from launches f inner join chosen c on c.category = f.category and c.day >= f.launched
    where c.customer_id is not null
    group by f.product_id
)
select
    f.product_id,
    f.category,
    cast(f.launched as bigint) as launched,
    cast(coalesce(b.category_buyers, 0) as bigint) as category_buyers,
    cast(coalesce(t.second_day, :as_of) - t.first_day as bigint) as days,
    cast(count(t.second_day) as bigint) as returned,
    cast(count(*) as bigint) as customers
from launches f
inner join triers t on f.product_id = t.product_id
left join buyers b on f.product_id = b.product_id
group by f.product_id, f.category, f.launched, b.category_buyers, coalesce(t.second_day, :as_of) - t.first_day
order by f.product_id, days
