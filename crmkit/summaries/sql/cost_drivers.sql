-- values: as_of. How much of the trade of each period of a shared cost is each member's; customer_id is null for what is
-- of no member, whose visits are its receipts. A visit is a day with a receipt; two stores may use the same number.
with receipts as (
    select customer_id, day, cast(count(*) as bigint) as lines
    from {lines}
    where day <= :as_of
    group by customer_id, day, order_id, store
),
visits as (
    select
        customer_id, day,
        cast(count(*) as bigint) as orders,
        cast(sum(lines) as bigint) as lines,
        case when customer_id is null then cast(count(*) as bigint) else 1 end as visits
    from receipts
    group by customer_id, day
)
select
    p.starts,
    p.ends,
    v.customer_id,
    cast(sum(v.orders) as bigint) as orders,
    cast(sum(v.lines) as bigint) as lines,
    cast(sum(v.visits) as bigint) as visits
from visits v join {periods} p on v.day between p.starts and p.ends
group by p.starts, p.ends, v.customer_id
order by p.starts, p.ends, v.customer_id nulls last
