-- Members and products whose returns a step may concern: something comes back, or has come back before; the first day of the
-- lines that the step brings or takes away, whether something comes back among them, and whether any is taken away.
with touched as ({touched}),
back as (select distinct customer_id, coalesce(product_id, '') as product from touched where kind = 'return'),
own as (
    select {pair} as pair, customer_id, product_id, day, kind, leaves
    from touched t
    where customer_id is not null and (
        exists (select 1 from back b where b.customer_id = t.customer_id and b.product = coalesce(t.product_id, ''))
        or {known}
    )
)
select pair, customer_id, product_id, min(day) as first_day, max(case when kind = 'return' then 1 else 0 end) as returns, max(leaves) as leaves
from own
group by pair, customer_id, product_id
