-- values: as_of. One row per line on which an offer was redeemed, as known at the close of as_of: a line of the offer's goods with a
-- discount, or a line whose product_id is the coupon's deal or code. Where several offers fit, the one whose worth is nearest.
with fitting as (
    select
        o.offer, o.worth, l.file, l.record, l.customer_id, l.buy_day, l.order_id,
        case when l.discount > 0 then l.discount else abs(l.amount) end as taken_off
    from {offers} o
    join {lines} l
        on l.customer_id = o.customer_id and l.day between o.starts and o.ends
        and (l.product_id in (o.deal_id, o.code) or (l.discount > 0 and l.units > 0 and l.category = o.category and {matches}))
    where l.day <= :as_of
),
ranked as (
    select
        fitting.*,
        row_number() over (partition by file, record order by abs(taken_off - worth), offer) as place
    from fitting
    where taken_off > 0
)
select offer, file, record, customer_id, buy_day, order_id, cast(taken_off as double) as amount
from ranked
where place = 1
order by file, record
