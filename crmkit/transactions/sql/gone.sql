-- Lines that a correction takes away: all of a day (of a store) that it holds, and those that it holds by their key. Where the
-- correction or the line names no store, the whole day, or the key alone, decides.
select l.*
from {lines} as l
where exists (
    select 1 from {days} as c where c.day = l.day and coalesce(c.store = l.store, true)
) or exists (
    select 1 from {new} as c
    where c.order_id = l.order_id and c.line_id = l.line_id and coalesce(c.store = l.store, true)
)
