-- values: as_of, receipts, stores, share, members. Cards that are used as no single member shops: receipts and stores are the
-- most of a day, a share is that of all receipts or money; it tells nothing among few members.
with days as (
    select
        customer_id, day, count(distinct order_id) as n_receipts, count(distinct store) as n_stores, sum(amount) as amount
    from {lines}
    where day <= :as_of and customer_id is not null
    group by customer_id, day
),
cards as (
    select
        customer_id,
        cast(max(n_receipts) as bigint) as most_receipts,
        cast(max(n_stores) as bigint) as most_stores,
        cast(count(*) as bigint) as n_days,
        cast(sum(greatest(n_receipts, 1)) as double) as n_receipts,
        cast(sum(amount) as double) as amount
    from days
    group by customer_id
),
totals as (select sum(n_receipts) as n_receipts, sum(amount) as amount, count(*) as n_cards from cards)
select
    customer_id,
    most_receipts,
    most_stores,
    n_days,
    c.n_receipts / t.n_receipts as share_of_receipts,
    case when t.amount > 0 then c.amount / t.amount end as share_of_money
from cards as c cross join totals as t
where most_receipts > :receipts or most_stores > :stores or (
    t.n_cards >= :members and (c.n_receipts > :share * t.n_receipts or (t.amount > 0 and c.amount > :share * t.amount))
)
order by customer_id
