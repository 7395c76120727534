-- On which days each receipt's number has been used.
select distinct {number} as number, day
from {lines}
where order_id is not null
