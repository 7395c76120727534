-- values: product, as_of. What was sold of a product in each month: money, pieces, buyers, and what a piece cost.
with placed as (
    select
        unix_date(cast(date_trunc('month', date '1970-01-01' + cast(day as integer)) as date)) as starts,
        customer_id, amount, units
    from {lines}
    where product_id = :product and day <= :as_of
)
select
    cast(date '1970-01-01' + cast(starts as integer) as timestamp_ntz) as month,
    cast(sum(amount) as double) as spend,
    cast(sum(case when units > 0 then units else 0 end) as double) as pieces,
    cast(count(distinct case when units > 0 then customer_id end) as bigint) as buyers,
    cast(sum(case when units > 0 then amount else 0 end) as double)
        / cast(nullif(sum(case when units > 0 then units else 0 end), 0) as double) as price
from placed
group by starts
order by starts
