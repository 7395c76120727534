-- values: as_of, as_of. Logarithms are summed as decimals: the sum is the same whatever the order of the rows.
select
    customer_id,
    cast(max(day_no) - 1 as bigint) as frequency,
    cast(max(day) - min(day) as bigint) as recency,
    cast(? - min(day) as bigint) as T,
    cast(sum(case when day_no > 1 then amount end) as double) / nullif(max(day_no) - 1, 0) as monetary_value,
    cast(coalesce(sum(cast(case when gap > 0 then ln(gap) end as decimal(18, 12))), 0) as double) as sum_log_gap
from {trips}
where day <= ? and n_bought > 0
group by customer_id
order by customer_id
