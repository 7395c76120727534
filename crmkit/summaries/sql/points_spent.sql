-- values: origin, until. Sums over cards of the points that stood at the close of origin, and how many of them were redeemed by
-- the close of until (the oldest are spent first, so those that stood go before those that came later).
with cards as (
    select
        customer_id,
        cast(greatest(sum(case when day <= :origin then points else 0 end), 0) as double) as stood,
        cast(-sum(case when day > :origin and kind = 'redeemed' then points else 0 end) as double) as redeemed
    from (select customer_id, unix_date(cast(day as date)) as day, kind, points from {ledger}) as ledger
    where day <= :until
    group by customer_id
),
used as (
    select stood, least(stood, redeemed) as used from cards where stood > 0
)
select
    cast(count(*) as bigint) as cards,
    coalesce(sum(stood), 0) as stood,
    coalesce(sum(used), 0) as used,
    coalesce(sum(stood * stood), 0) as stood_2,
    coalesce(sum(used * stood), 0) as used_stood,
    coalesce(sum(used * used), 0) as used_2
from used
