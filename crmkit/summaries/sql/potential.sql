-- values: as_of, window, bands. Each customer beside those who come as often: bands of equal size by purchase days. What a band
-- spends on an item is its mean, those who buy none of it included; the headroom of a customer is what the band's means exceed
-- their own spend by, item by item: the sum of all means less the smaller of the mean and their own spend of each item they buy.
with recent as (
    select customer_id, day, amount, units, {item} as item
    from {lines}
    where customer_id is not null and day <= :as_of and day > :as_of - :window
),
spent as (
    select customer_id, item, sum(amount) as amount from recent where item is not null group by customer_id, item
    having sum(amount) > 0
),
came as (
    select
        customer_id,
        count(distinct case when units > 0 then day end) as days,
        count(distinct case when units > 0 then cast(floor((day + 3) / 7) as bigint) end) as weeks,
        min(case when units > 0 then day end) as first_day
    from recent
    group by customer_id
),
banded as (
    select *, ntile(:bands) over (order by days, customer_id) as band from came where days > 0
),
sizes as (
    select band, count(*) as n from banded group by band
),
usual as (
    select
        b.band, s.item,
        cast(sum(s.amount) as double) / max(z.n) as mean_amount,
        case when 2 * count(*) >= max(z.n) then 1 else 0 end as is_usual
    from spent s inner join banded b on s.customer_id = b.customer_id inner join sizes z on b.band = z.band
    group by b.band, s.item
),
whole as (
    select band, sum(mean_amount) as mean_total, sum(is_usual) as usual_items from usual group by band
),
own as (
    select
        b.customer_id,
        sum(cast(s.amount as double)) as spend,
        sum(least(u.mean_amount, cast(s.amount as double))) as met,
        count(*) as items,
        sum(u.is_usual) as usual_items
    from banded b inner join spent s on b.customer_id = s.customer_id
    inner join usual u on b.band = u.band and s.item = u.item
    group by b.customer_id
)
select
    b.customer_id,
    cast(b.band as bigint) as band,
    coalesce(o.spend, 0) as spend,
    cast(b.weeks as double)
        / (cast(floor((:as_of + 3) / 7) as double) - cast(floor((b.first_day + 3) / 7) as double) + 1) as share_of_weeks,
    cast(coalesce(o.items, 0) as bigint) as items,
    cast(w.usual_items - coalesce(o.usual_items, 0) as bigint) as items_elsewhere,
    greatest(w.mean_total - coalesce(o.met, 0), 0) as headroom
from banded b inner join whole w on b.band = w.band left join own o on b.customer_id = o.customer_id
order by b.customer_id
