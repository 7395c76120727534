-- values: as_of, since, as_of. One row per member and item: money on goods whose brand type is known, and the part of it
-- that went to store brands; what has been taken back by as_of is taken off the day on which it was bought.
select
    customer_id,
    {item} as item,
    cast(count(distinct buy_day) as bigint) as n_days,
    cast(sum(amount) as double) as spend,
    cast(sum(case when brand_type in ('store', 'Store', 'private', 'Private') then amount else 0 end) as double)
        as store_spend
from {lines}
where day <= ? and buy_day > ? and buy_day <= ?
    and customer_id is not null and {item} is not null and units <> 0
    and brand_type in ('store', 'Store', 'private', 'Private', 'national', 'National')
group by customer_id, {item}
having sum(amount) > 0 and sum(units) > 0
order by customer_id, item
