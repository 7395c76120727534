-- values: window. Which sold line each returned line takes back: the line on the receipt it names, else the member's
-- latest sale of the product within the window; a sold line is never taken back more often than it was sold. What the
-- rows say decides before where they stand, so that the order of delivery moves no summary.
with returned as (
    select
        file, record, day, customer_id, coalesce(product_id, '') as product_id, returned_order_id, order_id,
        quantity is null as uncounted, coalesce(-quantity, 1) as units, -amount as amount
    from {lines}
    where kind = 'return' and customer_id is not null
),
sold as (
    select
        file, record, day, customer_id, coalesce(product_id, '') as product_id, order_id,
        coalesce(quantity, 1) as units, amount
    from {lines}
    where kind in ('sale', 'free') and customer_id is not null
),
candidates as (
    select
        r.file, r.record, r.day, r.units, r.amount, r.order_id,
        s.file as sold_file, s.record as sold_record, s.day as sold_day, s.units as sold_units,
        case when s.order_id = r.returned_order_id then 'by receipt' else 'by member and product' end as how,
        row_number() over (
            partition by r.file, r.record
            order by
                case when s.order_id = r.returned_order_id then 0 else 1 end,
                s.day desc, s.amount desc, s.units desc, coalesce(s.order_id, '') desc, s.file desc, s.record desc
        ) as place
    from returned r
    join sold s on s.customer_id = r.customer_id and s.product_id = r.product_id
    where s.day <= r.day and (s.day >= r.day - ? or s.order_id = r.returned_order_id)
        and s.units >= r.units and (not r.uncounted or s.amount = r.amount)
),
chosen as (
    select
        *,
        sum(units) over (
            partition by sold_file, sold_record order by day, units, amount, coalesce(order_id, ''), file, record
            rows between unbounded preceding and current row
        ) as so_far
    from candidates
    where place = 1
)
select
    file, record, sold_file, sold_record, sold_day, how,
    sum(case when day = sold_day then units else 0 end) over (partition by sold_file, sold_record) = sold_units as void
from chosen
where so_far <= sold_units
