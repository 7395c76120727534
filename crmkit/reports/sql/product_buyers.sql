-- values: product, as_of. Who bought a product: pieces, days, and the first and the last of them.
select
    customer_id,
    cast(sum(case when units > 0 then units else 0 end) as double) as pieces,
    cast(count(distinct case when units > 0 then day end) as bigint) as days,
    cast(sum(amount) as double) as spend,
    cast(max(day) as bigint) as last
from {lines}
where product_id = :product and day <= :as_of and customer_id is not null
group by customer_id
having sum(case when units > 0 then 1 else 0 end) > 0
order by customer_id
