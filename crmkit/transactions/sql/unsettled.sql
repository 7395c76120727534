-- Pairs of which returns must be matched again: something comes back, or has come back on a later day than the first that a
-- step touches; or a line is taken away, which the snapshot of the pair may hold.
select p.*
from {pairs} as p
where p.returns = 1 or p.leaves = 1 or exists (
    select 1 from {returned} as r where r.pair = p.pair and r.kind = 'return' and r.day >= p.first_day
)
