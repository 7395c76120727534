-- What members bought, folded into one row per member, day and category, once, so that every snapshot of a panel looks at
-- fewer rows. Brand types are read as in brand_usage.sql.
with bought as (
    select
        customer_id, day, category, amount, discount,
        case
            when brand_type in ('store', 'Store', 'private', 'Private') then 1
            when brand_type in ('national', 'National') then 0
        end as of_store
    from {lines}
    where customer_id is not null and units > 0
)
select
    customer_id,
    day,
    category,
    cast(count(*) as bigint) as n_bought,
    cast(sum(amount) as decimal(18, 4)) as amount,
    cast(sum(coalesce(discount, 0)) as decimal(18, 4)) as discount,
    cast(sum(case when of_store is not null then amount else 0 end) as decimal(18, 4)) as branded,
    cast(sum(case when of_store = 1 then amount else 0 end) as decimal(18, 4)) as store_brand
from bought
group by customer_id, day, category
