-- values: until. Lines that say what customers bought or brought back, as known at the close of a day; units and amount are
-- whole numbers of 10⁻⁴. `items` are the item column asked for, as item_0, and the levels above it, as item_1, …
select
    customer_id,
    {items},
    buy_day,
    day,
    cast(units * 10000 as bigint) as units,
    cast(amount * 10000 as bigint) as amount
from {lines}
where day <= :until and customer_id is not null and units <> 0 and {customers}
