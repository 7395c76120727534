-- values: as_of, weight, fade (days). One row per member and deal of a category that the member has bought: purchase
-- days of the category and of the deal's goods, fading with age, and the share of the latter, shrunk towards that of all.
-- yearly: purchase days of the category expected in a year, from the same fading days and how long the member has been known.
-- Days count in millionths, as whole numbers, so that sums are the same in any order.
with bought as (
    select customer_id, category, {columns}buy_day
    from {lines}
    where day <= :as_of and buy_day <= :as_of and customer_id is not null and category is not null and units <> 0
    group by customer_id, category, {columns}buy_day
    having sum(units) > 0
),
days as (
    select distinct
        customer_id, category, buy_day,
        cast(round(1000000 * exp(-(:as_of - buy_day) / cast(:fade as double))) as bigint) as counted
    from bought
),
known as (
    select
        customer_id,
        1000000 - cast(round(1000000 * exp(-greatest(:as_of - min(buy_day) + 1, 28) / cast(:fade as double))) as bigint)
            as weight_known
    from bought
    group by customer_id
),
of_category as (
    select customer_id, category, sum(counted) as category_days
    from days
    group by customer_id, category
),
of_deal as (
    select own.customer_id, own.deal_id, sum(days.counted) as own_days
    from (
        select distinct b.customer_id, b.category, b.buy_day, d.deal_id
        from bought b join {deals} d on b.category = d.category and {matches}
    ) own
    join days on own.customer_id = days.customer_id and own.category = days.category and own.buy_day = days.buy_day
    group by own.customer_id, own.deal_id
),
pairs as (
    select c.customer_id, d.deal_id, c.category_days, coalesce(o.own_days, 0) as own_days
    from of_category c
    join {deals} d on c.category = d.category
    left join of_deal o on c.customer_id = o.customer_id and d.deal_id = o.deal_id
),
overall as (
    select deal_id, cast(sum(own_days) as double) / nullif(sum(category_days), 0) as overall_share
    from pairs
    group by deal_id
)
select
    p.customer_id,
    p.deal_id,
    cast(p.category_days as double) / 1000000 as category_days,
    cast(p.own_days as double) / 1000000 as own_days,
    (cast(p.own_days as double) / 1000000 + :weight * coalesce(o.overall_share, 0))
        / (cast(p.category_days as double) / 1000000 + :weight) as share,
    cast(p.category_days as double) * 365 / (cast(:fade as double) * cast(k.weight_known as double)) as yearly
from pairs p
join overall o on p.deal_id = o.deal_id
join known k on p.customer_id = k.customer_id
order by p.customer_id, p.deal_id
