-- values: as_of. Points for the difference to a lower price of a product that a member bought dearer, on the promise's last day.
with bought as (
    select customer_id, buy_day, sum(amount) as paid, sum(units) as units
    from {lines}
    where customer_id is not null and product_id = {product_id} and buy_day between {starts} and {ends}
        and day <= {ends} and {ends} <= :as_of
    group by customer_id, buy_day
)
select
    customer_id,
    cast({ends} as integer) as day,
    'adjusted' as kind,
    'price promise' as rule,
    cast(floor((cast(paid * 10000 as double) - cast(units * {price} as double)) / {step}) as bigint) as points
from bought
where units > 0 and cast(paid * 10000 as double) - cast(units * {price} as double) >= {step}
