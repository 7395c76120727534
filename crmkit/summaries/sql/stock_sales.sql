-- values: as_of. What was sold of each product in the last 28 and 84 days, and when it was last sold.
select
    product_id,
    cast(sum(case when day > :as_of - 28 then units else 0 end) as double) as sold_28,
    cast(sum(case when day > :as_of - 84 then units else 0 end) as double) as sold_84,
    cast(date '1970-01-01' + cast(max(case when units > 0 then day end) as integer) as timestamp_ntz) as last_sold
from {lines}
where day <= :as_of and product_id is not null
group by product_id
order by product_id
