-- values: as_of, length, periods. What was sold of each item in each period before the close of a day, the latest being 0, and
-- the first day on which it was sold. A period is so many days; pieces are those sold, money has returns taken off.
with sold as (
    select {item} as item, {within} as whole, day, cast(floor((:as_of - day) / :length) as integer) as ago, units, amount
    from {lines}
    where day <= :as_of and {item} is not null
),
begun as (
    select item, min(day) as first from sold where units > 0 group by item
)
select
    s.item,
    s.whole,
    s.ago,
    cast(min(b.first) as bigint) as first,
    cast(sum(case when s.units > 0 then s.units else 0 end) as double) as quantity,
    cast(sum(s.amount) as double) as sales
from sold s inner join begun b on b.item = s.item
where s.ago < :periods
group by s.item, s.whole, s.ago
order by s.item, s.ago, s.whole
