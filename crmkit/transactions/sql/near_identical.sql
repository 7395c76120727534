-- Names of customers that differ in capitals, blanks, marks or leading zeros alone, with the purchase days of each.
with known as (
    select customer_id, cast(sum(bought) as bigint) as purchases from {days} group by customer_id
),
spelt as (
    select
        customer_id, purchases,
        trim(leading '0' from translate(lower(customer_id), ' -_./', '')) as spelling
    from known
),
shared as (
    select spelling from spelt group by spelling having count(*) > 1
)
select
    s.customer_id,
    min(s.customer_id) over (partition by s.spelling) as same_as,
    s.purchases
from spelt s inner join shared h on s.spelling = h.spelling
order by same_as, customer_id
