-- values: after, until. What each member bought on the days after one and up to another: purchase days, money (returns
-- taken off), categories.
with bought as (
    select customer_id, cast(count(distinct category) as bigint) as n_categories
    from {lines}
    where day > :after and day <= :until
    group by customer_id
)
select
    d.customer_id,
    cast(sum(d.bought) as bigint) as purchases,
    cast(sum(d.amount) as double) as spend,
    coalesce(max(b.n_categories), 0) as n_categories
from {days} d
left join bought b on b.customer_id = d.customer_id
where d.day > :after and d.day <= :until
group by d.customer_id
order by d.customer_id
