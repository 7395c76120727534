-- values: as_of. On how many days customers bought each item of late, as known at the close of as_of.
with days as (
    select customer_id, {item} as item, buy_day
    from {lines}
    where day <= :as_of and buy_day > :as_of - 84 and {item} is not null and customer_id is not null and units <> 0
    group by customer_id, {item}, buy_day
    having sum(units) > 0
)
select
    item,
    cast(sum(case when buy_day > :as_of - 28 then 1 else 0 end) as bigint) as recent_28,
    cast(count(*) as bigint) as recent_84
from days
group by item
