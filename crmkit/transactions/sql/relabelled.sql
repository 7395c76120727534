-- Lines under other names of their customers: each is its card's, from the day on which the card is; else it stays as it is.
select {columns}
from {lines} l left join {names} n on l.customer_id = n.card and (n.since is null or l.day >= n.since)
