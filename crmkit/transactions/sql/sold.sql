-- Sold lines of the members and products of which something came back. Lines that say the same are one lot, known by
-- its first line: which of them went back makes no difference.
select
    file, record, customer_id, product_id, order_id, day, hour, store, quantity, amount, discount,
    category, brand, brand_type, manufacturer, department,
    coalesce(quantity, 1) as units,
    first_value(file) over lot as lot_file,
    first_value(record) over lot as lot_record,
    cast(sum(coalesce(quantity, 1)) over (
        partition by customer_id, product_id, order_id, day, hour, store, quantity, amount, discount, category, brand,
            brand_type, manufacturer, department
    ) as decimal(18, 4)) as lot_units
from {lines} as sold
where kind in ('sale', 'free') and customer_id is not null and exists (
    select 1 from {returned} as r
    where r.customer_id = sold.customer_id and coalesce(r.product_id, '') = coalesce(sold.product_id, '')
)
window lot as (
    partition by customer_id, product_id, order_id, day, hour, store, quantity, amount, discount, category, brand,
        brand_type, manufacturer, department
    order by file, record
)
