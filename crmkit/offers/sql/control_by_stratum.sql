-- values: share, key. Of each stratum the share, to the next whole member, with the lowest hashes of key and id.
select customer_id
from (
    select
        customer_id,
        row_number() over (partition by stratum order by draw, customer_id) as place,
        count(*) over (partition by stratum) * cast(:share as double) as wanted
    from (
        select distinct customer_id, stratum, md5(:key || ':' || cast(customer_id as string)) as draw
        from {members}
    ) drawn
) ranked
where place <= floor(wanted + 0.5)
order by customer_id
