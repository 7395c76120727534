-- values: as_of, as_of + horizon. Which member bought which item on the days in between.
select distinct customer_id, {item} as item
from {lines}
where day > ? and day <= ? and {item} is not null and customer_id is not null and units > 0
order by customer_id, item
