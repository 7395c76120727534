-- values: as_of. Adds to the state of each member and item what is known of the member and the item's level above it, as
-- `columns`; an item that was sold under several has the last of them by name, and one that has none is its own level.
with homes as (
    select {item} as item, max({parent}) as parent
    from {lines}
    where day <= :as_of and {item} is not null
    group by {item}
)
select s.*, {columns}
from {state} s
left join homes h on h.item = s.item
left join {above} a on a.customer_id = s.customer_id and a.item = h.parent
order by s.customer_id, s.item
