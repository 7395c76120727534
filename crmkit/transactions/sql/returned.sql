-- values: most. Lines that bring something back, numbered in the order in which a member's returns of a product are
-- looked at: by the day, so that a later return moves no earlier one; those that name their receipt first; and by what
-- they say before where they stand. No more than so many of a member and product are looked at.
select * from (
    select
        file, record, customer_id, product_id, day, hour, store, category, order_id, returned_order_id,
        quantity is null as uncounted, coalesce(abs(quantity), 1) as units, -amount as amount,
        row_number() over (
            partition by customer_id, product_id
            order by day, case when returned_order_id is null then 1 else 0 end, coalesce(hour, 24),
                coalesce(returned_order_id, ''), abs(quantity) nulls last, amount, coalesce(order_id, ''),
                coalesce(category, ''), coalesce(store, ''), file, record
        ) as place
    from {lines}
    where kind = 'return' and customer_id is not null
) as returned
where place <= :most
