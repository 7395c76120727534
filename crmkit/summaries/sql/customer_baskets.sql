-- values: as_of. What was in each member's baskets up to the close of a day: lines, categories, also of the last 84
-- days and the 84 before them, and money at full price, off by discounts, on goods of a known kind of brand and the store's.
with known as (
    select *, :as_of - day as age
    from {lines}
    where day <= :as_of
)
select
    customer_id,
    cast(sum(n_bought) as bigint) as n_lines,
    cast(count(distinct category) as bigint) as n_categories,
    cast(count(distinct case when age < 84 then category end) as bigint) as categories_84,
    cast(count(distinct case when age between 84 and 167 then category end) as bigint) as categories_168,
    cast(sum(amount) as double) as paid,
    cast(sum(discount) as double) as discount,
    cast(sum(branded) as double) as branded,
    cast(sum(store_brand) as double) as store_brand
from known
group by customer_id
order by customer_id
