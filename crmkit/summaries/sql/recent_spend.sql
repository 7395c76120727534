-- values: as_of, decay_days. Purchase days and money since the first purchase, one of age a counting exp(-a / decay_days),
-- in exact decimals, so that the sum is the same in whatever order the rows come.
with bought as (
    select customer_id, min(day) as first
    from {days}
    where day <= :as_of and bought = 1
    group by customer_id
),
aged as (
    select
        b.customer_id,
        d.bought,
        d.amount,
        exp(-cast(:as_of - d.day as double) / :decay_days) as weight
    from bought b
    join {days} d on d.customer_id = b.customer_id and d.day >= b.first and d.day <= :as_of
)
select
    customer_id,
    cast(sum(cast(bought * weight as decimal(38, 18))) as double) / :decay_days as recent_purchases,
    cast(sum(cast(cast(amount as double) * weight as decimal(38, 12))) as double) / :decay_days as recent_spend
from aged
group by customer_id
order by customer_id
