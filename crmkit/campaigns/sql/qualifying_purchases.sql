-- values: as_of. One row per offer (its number) whose goods the member bought on the offer's days, as known at the close of as_of.
select distinct o.offer
from {offers} o
join {lines} l
    on l.customer_id = o.customer_id and l.category = o.category and {matches}
where l.day <= :as_of and l.buy_day between o.starts and o.ends and l.units > 0
order by o.offer
