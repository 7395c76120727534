-- values: as_of, until. Which member bought which item on the days in between, and has not taken it back on them.
with days as (
    select customer_id, {item} as item
    from {lines}
    where buy_day > :as_of and day <= :until and {item} is not null and customer_id is not null and units <> 0
    group by customer_id, {item}, buy_day
    having sum(units) > 0
)
select distinct customer_id, item
from days
order by customer_id, item
