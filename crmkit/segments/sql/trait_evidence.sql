-- values: as_of, window. Of each customer and trait the days on which evidence of it was bought, the items of it, days since the
-- last of them, and all purchase days; customers without any evidence have a row each too.
with recent as (
    select customer_id, day, units, {item} as item
    from {lines}
    where customer_id is not null and day <= :as_of and day > :as_of - :window and units > 0
),
came as (
    select customer_id, count(distinct day) as days from recent group by customer_id
),
traits as (
    select distinct trait from {evidence}
),
found as (
    select
        r.customer_id, e.trait,
        count(distinct r.day) as evidence_days,
        count(distinct r.item) as evidence_items,
        max(r.day) as last_day
    from recent r inner join {evidence} e on r.item = e.item
    group by r.customer_id, e.trait
)
select
    c.customer_id,
    t.trait,
    cast(c.days as bigint) as days,
    cast(coalesce(f.evidence_days, 0) as bigint) as evidence_days,
    cast(coalesce(f.evidence_items, 0) as bigint) as evidence_items,
    cast(:as_of - f.last_day as bigint) as days_since_evidence
from came c cross join traits t left join found f on c.customer_id = f.customer_id and t.trait = f.trait
order by c.customer_id, t.trait
