-- values: until, as_of. Days from the close of as_of to the next purchase of each member and item, of what was
-- bought by the close of until.
with days as (
    select customer_id, {item} as item, buy_day as day
    from {lines}
    where day <= :until and buy_day > :as_of and {item} is not null and customer_id is not null and units <> 0
    group by customer_id, {item}, buy_day
    having sum(units) > 0
)
select customer_id, item, cast(min(day) - :as_of as bigint) as wait
from days
group by customer_id, item
order by customer_id, item
