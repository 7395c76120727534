-- values: as_of. How many there are at each level, and what they bought: purchase days of cards, and money.
with days as (
    select customer_id, day, amount, bought from {days} where day <= :as_of
),
named as (
    select
        d.customer_id as card,
        coalesce(m.name, d.customer_id) as member,
        coalesce(u.name, d.customer_id) as unit,
        d.amount, d.bought
    from days d
    left join {members} m on d.customer_id = m.card and (m.since is null or d.day >= m.since)
    left join {units} u on d.customer_id = u.card and (u.since is null or d.day >= u.since)
),
called as (
    select 1 as place, 'card' as level, card as name, amount, bought from named
    union all
    select 2 as place, 'member' as level, member as name, amount, bought from named
    union all
    select 3 as place, 'unit' as level, unit as name, amount, bought from named
)
select
    level,
    count(distinct name) as customers,
    cast(sum(bought) as bigint) as card_days,
    cast(sum(amount) as double) as sales
from called
group by place, level
order by place
