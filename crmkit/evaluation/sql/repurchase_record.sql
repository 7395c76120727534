-- values: as_of, horizon. Published probabilities of buying an item beside a baseline, and what was bought. The baseline is the share that was bought
-- in the horizon before the day, of each item, among pairs that were, or were not, bought in the horizon before that one.
with pairs as (select customer_id, {item} as item, p_purchase, n_purchases from {published}),
lately as (
    select customer_id, {item} as item, max(case when buy_day > :as_of - :horizon and buy_day <= :as_of then 1 else 0 end) as last,
        max(case when buy_day > :as_of - 2 * :horizon and buy_day <= :as_of - :horizon then 1 else 0 end) as earlier,
        max(case when buy_day > :as_of then 1 else 0 end) as came
    from {lines}
    where buy_day > :as_of - 2 * :horizon and buy_day <= :as_of + :horizon and units > 0
        and customer_id is not null and {item} is not null
    group by customer_id, {item}
),
known as (
    select p.*, coalesce(l.last, 0) as last, coalesce(l.earlier, 0) as earlier, coalesce(l.came, 0) as came
    from pairs p
    left join lately l on l.customer_id = p.customer_id and l.item = p.item
),
overall as (select (sum(last) + 0.5) / (count(*) + 1.0) as share from known),
rates as (
    select item, earlier, (sum(last) + max(o.share)) / (count(*) + 1.0) as rate
    from known
    cross join overall o
    group by item, earlier
)
select
    k.customer_id || '|' || k.item as key,
    k.p_purchase as p,
    coalesce(r.rate, o.share) as baseline,
    k.came
from known k
left join rates r on r.item = k.item and r.earlier = k.last
cross join overall o
