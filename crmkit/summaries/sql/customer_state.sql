-- values: as_of. What is known of each member's purchases and money at the close of a day. Ages count back
-- from that day; decayed_τ sums exp(-age / τ) over purchase days, in exact decimals, so that it is the same in whatever
-- order the rows come. longer_gaps are the member's own gaps at least as long as the time since the last purchase.
with known as (
    select
        customer_id,
        bought,
        amount,
        day_no,
        log_gap,
        :as_of - day as age,
        cast(exp(-cast(:as_of - day as double) / 20) as decimal(38, 18)) as decay_20,
        cast(exp(-cast(:as_of - day as double) / 60) as decimal(38, 18)) as decay_60,
        cast(exp(-cast(:as_of - day as double) / 150) as decimal(38, 18)) as decay_150,
        day - lag(day) over (partition by customer_id, bought order by day) as gap,
        :as_of - max(case when bought = 1 then day end) over (partition by customer_id) as days_since_last
    from {days}
    where day <= :as_of
)
select
    customer_id,
    cast(sum(bought) - 1 as bigint) as frequency,
    cast(max(case when bought = 1 then age end) - max(days_since_last) as bigint) as recency,
    cast(max(case when bought = 1 then age end) as bigint) as T,
    cast(sum(case when day_no > 1 or (day_no is null and amount < 0) then amount end) as double)
        / nullif(sum(bought) - 1, 0) as monetary_value,
    cast(coalesce(sum(log_gap), 0) as double) as sum_log_gap,
    cast(max(days_since_last) as bigint) as days_since_last,
    cast(coalesce(sum(case when bought = 1 then gap * gap end), 0) as double) as squared_gaps,
    cast(coalesce(max(case when bought = 1 then gap end), 0) as bigint) as longest_gap,
    cast(coalesce(max(case when bought = 1 and age = days_since_last then gap end), 0) as bigint) as last_gap,
    cast(sum(case when bought = 1 and gap >= days_since_last then 1 else 0 end) as bigint) as longer_gaps,
    cast(sum(case when bought = 1 and age < 7 then 1 else 0 end) as bigint) as days_7,
    cast(sum(case when bought = 1 and age < 14 then 1 else 0 end) as bigint) as days_14,
    cast(sum(case when bought = 1 and age < 28 then 1 else 0 end) as bigint) as days_28,
    cast(sum(case when bought = 1 and age < 56 then 1 else 0 end) as bigint) as days_56,
    cast(sum(case when bought = 1 and age < 84 then 1 else 0 end) as bigint) as days_84,
    cast(sum(case when bought = 1 and age < 168 then 1 else 0 end) as bigint) as days_168,
    cast(sum(case when bought = 1 then decay_20 end) as double) as decayed_20,
    cast(sum(case when bought = 1 then decay_60 end) as double) as decayed_60,
    cast(sum(case when bought = 1 then decay_150 end) as double) as decayed_150,
    cast(sum(amount) as double) as spend,
    cast(coalesce(sum(case when age < 84 then amount end), 0) as double) as spend_84,
    cast(coalesce(sum(case when age between 84 and 167 then amount end), 0) as double) as spend_168
from known
group by customer_id
having sum(bought) > 0
order by customer_id
