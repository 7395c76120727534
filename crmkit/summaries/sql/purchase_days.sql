-- values: as_of, customer_id, item. Days on which one member bought one item, and how much, as known at the close of as_of.
select cast(date '1970-01-01' + cast(buy_day as integer) as timestamp_ntz) as day, cast(sum(units) as double) as units
from {lines}
where day <= :as_of and customer_id = :customer_id and {item} = :item and units <> 0
group by buy_day
having sum(units) > 0
order by buy_day
