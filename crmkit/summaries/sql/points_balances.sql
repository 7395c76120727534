-- values: since, until. Of each card the points at the opening, what came and went in the days since to until, and the closing.
select
    customer_id,
    cast(sum(case when day < :since then points else 0 end) as bigint) as opening,
    cast(sum(case when day >= :since and kind = 'earned' then points else 0 end) as bigint) as earned,
    cast(sum(case when day >= :since and kind = 'bonus' then points else 0 end) as bigint) as bonus,
    cast(sum(case when day >= :since and kind = 'adjusted' then points else 0 end) as bigint) as adjusted,
    cast(-sum(case when day >= :since and kind = 'returned' then points else 0 end) as bigint) as returned,
    cast(-sum(case when day >= :since and kind = 'redeemed' then points else 0 end) as bigint) as redeemed,
    cast(-sum(case when day >= :since and kind = 'expired' then points else 0 end) as bigint) as expired,
    cast(sum(points) as bigint) as closing
from (select customer_id, unix_date(cast(day as date)) as day, kind, points from {ledger}) as ledger
where day <= :until
group by customer_id
order by customer_id
