-- values: as_of, fade (days). Of each wanted member and item the product that the member buys most often of it, purchase days
-- fading with age; and what was last paid for one of it, as known at the close of as_of. Days count in millionths, as whole
-- numbers, so that sums are the same in any order; ties go to the product bought last, then to the smaller id.
with bought as (
    select l.customer_id, l.{item} as item, l.product_id, l.buy_day, sum(l.amount) as amount, sum(l.quantity) as quantity
    from {lines} l
    join {wanted} w on l.customer_id = w.customer_id and l.{item} = w.item
    where l.day <= :as_of and l.buy_day <= :as_of and l.product_id is not null and l.units <> 0
    group by l.customer_id, l.{item}, l.product_id, l.buy_day
    having sum(l.units) > 0
),
products as (
    select
        customer_id, item, product_id, count(*) as n_days, max(buy_day) as last_buy,
        sum(cast(round(1000000 * exp(-(:as_of - buy_day) / cast(:fade as double))) as bigint)) as counted
    from bought
    group by customer_id, item, product_id
),
ranked as (
    select
        customer_id, item, product_id, n_days, last_buy,
        row_number() over (partition by customer_id, item order by counted desc, last_buy desc, product_id) as place
    from products
)
select
    r.customer_id,
    r.item,
    r.product_id,
    cast(r.n_days as bigint) as n_days,
    cast(date '1970-01-01' + cast(r.last_buy as integer) as timestamp_ntz) as last_day,
    cast(case when b.quantity > 0 and b.amount > 0 then b.amount end as double)
        / cast(case when b.quantity > 0 then b.quantity end as double) as last_paid
from ranked r
join bought b
    on r.customer_id = b.customer_id and r.item = b.item and r.product_id = b.product_id and r.last_buy = b.buy_day
where r.place = 1
order by r.customer_id, r.item
