-- values: as_of, horizon. Published probabilities of churn beside a baseline, and who churned. The baseline is the share that had churned a horizon
-- earlier among customers with about as many days since their last purchase (by powers of two), as known on the day itself.
with before as (
    select
        customer_id,
        floor(
            ln(1.0 + (:as_of - :horizon) - max(case when bought = 1 and day <= :as_of - :horizon then day end)) / ln(2) + 1e-9
        ) as span,
        min(case when bought = 1 and day > :as_of - :horizon then 0 else 1 end) as churned
    from {days}
    where day <= :as_of
    group by customer_id
    having min(case when bought = 1 then day end) <= :as_of - :horizon
),
rates as (
    select b.span, (sum(b.churned) + max(o.share)) / (count(*) + 1.0) as rate, max(o.share) as share
    from before b
    cross join (select (sum(churned) + 0.5) / (count(*) + 1.0) as share from before) o
    group by b.span
),
usual as (select max(share) as share from rates),
active as (select distinct customer_id from {days} where bought = 1 and day > :as_of and day <= :as_of + :horizon)
select
    p.customer_id as key,
    p.p_churn as p,
    coalesce(r.rate, u.share, 0.5) as baseline,
    case when a.customer_id is null then 1 else 0 end as came
from {published} p
left join rates r on r.span = floor(ln(1.0 + p.days_since_last) / ln(2) + 1e-9)
left join active a on a.customer_id = p.customer_id
cross join usual u
