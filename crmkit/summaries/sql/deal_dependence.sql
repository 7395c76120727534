-- values: as_of, window (days). One row per customer who bought in the window: lines bought on a deal (with a discount), in it and
-- in the one before.
select
    customer_id,
    cast(sum(case when day > :as_of - :window then 1 else 0 end) as bigint) as n_lines,
    cast(sum(case when day > :as_of - :window and discount > 0 then 1 else 0 end) as bigint) as n_on_deal,
    cast(sum(case when day <= :as_of - :window then 1 else 0 end) as bigint) as n_lines_before,
    cast(sum(case when day <= :as_of - :window and discount > 0 then 1 else 0 end) as bigint) as n_on_deal_before,
    cast(sum(case when day > :as_of - :window then coalesce(discount, 0) else 0 end) as double) as discounts
from {lines}
where customer_id is not null and units > 0 and day <= :as_of and day > :as_of - 2 * :window
group by customer_id
having sum(case when day > :as_of - :window then 1 else 0 end) > 0
order by customer_id
