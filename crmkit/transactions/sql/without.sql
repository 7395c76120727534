-- Lines, of which some customers' stay as sales of nobody known.
select {columns}
from {lines} l left join {names} n on l.customer_id = n.card
