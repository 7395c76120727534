-- All that members did, row by row, in whole numbers (money in units of 0.0001, log_gap in units of 10^-12): first what each
-- day brought or took back, then each line that was bought.
--   of_line  0 for a day, 1 for a line
--   mark     of a day: 1 where goods were bought on it, else 0; of a line: 1 of the store's brand, 0 of a national one, -1 where
--            that is unknown (read as in brand_usage.sql)
--   part     of a day's amount, what counts as repeat purchases; of a line's, the discount
select
    customer_id,
    day,
    cast(0 as smallint) as of_line,
    cast(bought as smallint) as mark,
    cast(null as string) as category,
    cast(amount * 10000 as bigint) as amount,
    cast(case when day_no > 1 or (day_no is null and amount < 0) then amount * 10000 else 0 end as bigint) as part,
    cast(coalesce(log_gap, 0) * 1000000000000 as bigint) as log_gap
from {days}
union all
select
    customer_id,
    day,
    cast(1 as smallint),
    cast(
        case
            when brand_type in ('store', 'Store', 'private', 'Private') then 1
            when brand_type in ('national', 'National') then 0
            else -1
        end as smallint
    ),
    category,
    cast(amount * 10000 as bigint),
    cast(coalesce(discount, 0) * 10000 as bigint),
    cast(0 as bigint)
from {lines}
where customer_id is not null and units > 0
