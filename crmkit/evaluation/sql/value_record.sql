-- values: as_of, horizon, margin, annual_discount. Published values and purchases beside what came, and beside the customer's own past rate.
with came as (
    select
        customer_id,
        sum(bought) as purchases,
        sum(cast(amount as double) * :margin * exp(-ln(1.0 + :annual_discount) * (day - :as_of) / 365.25)) as value
    from {days}
    where day > :as_of and day <= :as_of + :horizon
    group by customer_id
),
beside as (
    select
        p.value,
        p.expected_purchases,
        coalesce(c.value, 0.0) as real_value,
        coalesce(c.purchases, 0) as real_purchases,
        p.total_spend * :margin * :horizon / greatest(p.T + 1, :horizon) as past_value
    from {published} p
    left join came c on c.customer_id = p.customer_id
)
select
    cast(count(*) as bigint) as n,
    cast(sum(value) as double) as expected,
    cast(sum(real_value) as double) as observed,
    cast(avg(abs(value - real_value)) as double) as error,
    cast(avg(abs(past_value - real_value)) as double) as baseline_error,
    cast(sum(expected_purchases) as double) as expected_purchases,
    cast(sum(real_purchases) as double) as observed_purchases
from beside
