-- values: as_of, period. Sales and receipts of each period and group, and those of them with a member's card.
with receipts as (
    select
        case :period
            when 'week' then day - (day + 3) % 7
            when 'month' then unix_date(cast(date_trunc('month', date '1970-01-01' + cast(day as integer)) as date))
            else 0
        end as starts{by},
        customer_id is not null as with_card,
        sum(amount) as amount
    from {lines}
    where day <= :as_of
    group by 1{by}, day, customer_id, order_id, store
)
select
    starts{by},
    cast(sum(amount) as double) as sales,
    cast(coalesce(sum(case when with_card then amount end), 0) as double) as card_sales,
    cast(count(*) as bigint) as receipts,
    cast(count(case when with_card then 1 end) as bigint) as card_receipts
from receipts
group by starts{by}
order by starts{by}
