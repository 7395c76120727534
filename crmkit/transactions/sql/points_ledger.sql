-- values: as_of, expires. The ledger of points: entries of each card with the balance after each. The oldest points are spent
-- first; what was gained by day d and is not spent by the close of day d + expires has expired then. With C what was gained and
-- D what was spent up to a day, what has expired by day t is the largest C(s - expires) - D(s) of all days s up to t, or nothing.
with entries as (
    select customer_id, day, kind, rule, sum(points) as points
    from ({moves}) as moves
    where day <= :as_of
    group by customer_id, day, kind, rule
),
days as (
    select
        customer_id, day,
        sum(case when points > 0 then points else 0 end) as gained,
        sum(case when points < 0 then -points else 0 end) as spent
    from entries
    group by customer_id, day
),
gains as (
    select
        customer_id, day, gained,
        sum(gained) over (partition by customer_id order by day rows between unbounded preceding and current row) as so_far
    from days
),
steps as (
    select customer_id, day, 0 as due, spent, cast(0 as bigint) as old from days
    union all
    select customer_id, day + :expires as day, 1 as due, 0 as spent, so_far as old
    from gains
    where gained > 0 and day + :expires <= :as_of
),
owed as (
    select
        customer_id, day, due, old,
        sum(spent) over (partition by customer_id order by day, due rows between unbounded preceding and current row) as spent
    from steps
),
lost as (
    select
        customer_id, day, due,
        max(case when due = 1 then greatest(old - spent, 0) else 0 end) over (
            partition by customer_id order by day, due rows between unbounded preceding and current row
        ) as lost
    from owed
),
expired as (
    select customer_id, day, lost - coalesce(lag(lost) over (partition by customer_id order by day), 0) as points
    from lost
    where due = 1
),
together as (
    select customer_id, day, kind, rule, points from entries where points <> 0
    union all
    select customer_id, day, 'expired' as kind, '' as rule, -points as points from expired where points > 0
),
placed as (
    select
        *,
        case kind
            when 'earned' then 1 when 'bonus' then 2 when 'adjusted' then 3 when 'returned' then 4 when 'redeemed' then 5 else 6
        end as place
    from together
)
select
    customer_id,
    cast(date '1970-01-01' + cast(day as integer) as timestamp_ntz) as day,
    kind,
    cast(points as bigint) as points,
    cast(sum(points) over (
        partition by customer_id order by day, place, rule rows between unbounded preceding and current row
    ) as bigint) as balance,
    rule
from placed
order by customer_id, day, place, rule
