-- values: since, as_of, period. Per member and period: money, receipts, items, and money on goods of known
-- brand type and on store brands. Members of {members} are told from all others by in_group.
with receipts as (
    select customer_id, day, coalesce(order_id, '') as order_id,
        sum(amount) as amount,
        sum(case when units > 0 then 1 else 0 end) as items,
        sum(case when brand_type in ('store', 'Store', 'private', 'Private') then amount else 0 end) as store_amount,
        sum(case when brand_type in ('store', 'Store', 'private', 'Private', 'national', 'National') then amount else 0 end)
            as branded_amount
    from {lines}
    where day > :since and day <= :as_of and customer_id is not null
    group by customer_id, day, coalesce(order_id, '')
),
placed as (
    select
        customer_id, amount, items, store_amount, branded_amount,
        case :period
            when 'month' then unix_date(cast(date_trunc('month', date '1970-01-01' + cast(day as integer)) as date))
            when 'week' then day - (day + 3) % 7
            else :since + 1 + 28 * cast(floor((day - :since - 1) / 28) as integer)
        end as starts
    from receipts
)
select
    p.customer_id,
    cast(p.starts as bigint) as starts,
    cast(max(case when m.customer_id is null then 0 else 1 end) as bigint) as in_group,
    cast(sum(p.amount) as double) as amount,
    cast(count(*) as bigint) as receipts,
    cast(sum(p.items) as bigint) as items,
    cast(sum(p.store_amount) as double) as store_amount,
    cast(sum(p.branded_amount) as double) as branded_amount
from placed p left join {members} m on m.customer_id = p.customer_id
group by p.customer_id, p.starts
order by p.customer_id, p.starts
