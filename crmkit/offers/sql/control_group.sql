-- values: key, threshold (eight hex digits, compared as text). The draw depends on the key and the member's id only.
select distinct customer_id
from {members}
where substr(md5(:key || ':' || cast(customer_id as string)), 1, 8) < :threshold
order by customer_id
