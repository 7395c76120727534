-- values: window. Which lot of sold lines each returned line takes back: one on the receipt that it names, else of the
-- member's latest sale of the product within the window, of which enough is left. A line without a quantity takes back a
-- line of the same money; one without a product, goods of the same category at the same price. Whether it fits is
-- told, as returned lines may choose the same lot. Nothing here looks at where a line stands.
with candidates as (
    select
        r.file, r.record, r.customer_id, r.product_id, r.place, r.day, r.amount,
        s.lot_file, s.lot_record, s.lot_units, s.day as sold_day,
        s.category, s.brand, s.brand_type, s.manufacturer, s.department,
        case when r.uncounted then s.units else r.units end as units,
        s.lot_units - coalesce(t.units, 0) as units_left,
        case when s.order_id = r.returned_order_id then 'by receipt' else 'by member and product' end as how,
        row_number() over (
            partition by r.file, r.record
            order by
                case when s.order_id = r.returned_order_id then 0 else 1 end,
                case when s.day = r.day and s.hour > r.hour then 1 else 0 end,
                s.day desc,
                case when s.store = r.store then 0 else 1 end,
                case when s.category = r.category then 0 else 1 end,
                s.amount desc, s.units desc, coalesce(s.order_id, '') desc, coalesce(s.hour, 0) desc,
                coalesce(s.store, ''), coalesce(s.discount, 0), coalesce(s.category, ''), coalesce(s.brand, ''),
                coalesce(s.brand_type, ''), coalesce(s.manufacturer, ''), coalesce(s.department, '')
        ) as choice
    from {returned} as r
    join {sold} as s on s.customer_id = r.customer_id and coalesce(s.product_id, '') = coalesce(r.product_id, '')
    left join {taken} as t on t.lot_file = s.lot_file and t.lot_record = s.lot_record
    where s.file = s.lot_file and s.record = s.lot_record
        and s.day <= r.day and (s.day >= r.day - :window or s.order_id = r.returned_order_id)
        and s.lot_units - coalesce(t.units, 0) >= case when r.uncounted then s.units else r.units end
        and (not r.uncounted or s.amount = r.amount)
        and (r.product_id is not null or (
            coalesce(s.category, '') = coalesce(r.category, '')
            and (r.uncounted or s.amount * r.units = r.amount * s.units)
        ))
)
select
    *,
    sum(units) over (
        partition by lot_file, lot_record order by place rows between unbounded preceding and current row
    ) <= units_left as fits
from candidates
where choice = 1
