-- values: until. Under which items of a level above each item was sold, and since when.
select {item} as item, {parent} as parent, cast(min(day) as bigint) as since
from {lines}
where day <= :until and {item} is not null and {parent} is not null
group by {item}, {parent}
order by {item}, {parent}
