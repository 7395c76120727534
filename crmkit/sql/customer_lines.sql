-- What members bought, folded into one row per member, day and category, once, so that every snapshot of a panel looks at
-- fewer rows.
select
    customer_id,
    day,
    category,
    cast(sum(case when units > 0 then 1 else 0 end) as bigint) as n_bought,
    cast(sum(amount) as decimal(18, 4)) as amount,
    cast(sum(coalesce(discount, 0)) as decimal(18, 4)) as discount,
    cast(sum(case when brand_type is not null then amount else 0 end) as decimal(18, 4)) as branded,
    cast(sum(case when brand_type = 'store' then amount else 0 end) as decimal(18, 4)) as store_brand
from {lines}
where customer_id is not null and units > 0
group by customer_id, day, category
