-- values: light, heavy (shares of the buyers). Per item, the money up to which use is light, and above which it is heavy;
-- both are amounts that a buyer spent.
with ranked as (
    select
        item,
        spend,
        row_number() over (partition by item order by spend) as place,
        count(*) over (partition by item) as buyers
    from {usage}
)
select
    item,
    cast(max(buyers) as bigint) as buyers,
    min(case when place >= :light * buyers then spend end) as light_up_to,
    min(case when place >= :heavy * buyers then spend end) as heavy_above
from ranked
group by item
order by item
