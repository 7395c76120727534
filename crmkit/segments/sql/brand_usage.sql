-- values: as_of, since. One row per member and item: money on goods whose brand type is known, and the part of it
-- that went to store brands; what has been taken back by as_of is taken off the day on which it was bought, and a day of
-- which all has been taken back is none.
with days as (
    select
        customer_id,
        {item} as item,
        sum(amount) as amount,
        sum(case when brand_type in ('store', 'Store', 'private', 'Private') then amount else 0 end) as store_amount,
        sum(units) as units
    from {lines}
    where day <= :as_of and buy_day > :since and buy_day <= :as_of
        and customer_id is not null and {item} is not null and units <> 0
        and brand_type in ('store', 'Store', 'private', 'Private', 'national', 'National')
    group by customer_id, {item}, buy_day
)
select
    customer_id,
    item,
    cast(sum(case when units > 0 then 1 else 0 end) as bigint) as n_days,
    cast(sum(amount) as double) as spend,
    cast(sum(store_amount) as double) as store_spend
from days
group by customer_id, item
having sum(amount) > 0 and sum(units) > 0
order by customer_id, item
