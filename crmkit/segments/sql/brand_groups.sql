-- values: loyal. The group of each member in each item, by frozen thresholds.
with shares as (
    select
        u.customer_id, u.item, u.n_days, u.spend, u.store_spend,
        greatest(0, least(1, u.store_spend / nullif(u.spend, 0))) as store_share,
        t.light_up_to, t.heavy_above
    from {usage} u join {thresholds} t on u.item = t.item
)
select
    customer_id,
    item as {item},
    n_days,
    spend,
    store_share,
    case
        when store_share >= :loyal then 'store brand'
        when store_share <= 1 - :loyal then 'national brand'
        else 'switcher'
    end as brand_user,
    case when spend > heavy_above then 'heavy' when spend > light_up_to then 'medium' else 'light' end as usage_level,
    case when spend > heavy_above then 'heavy' when spend > light_up_to then 'medium' else 'light' end || ' ' ||
    case
        when store_share >= :loyal then 'store brand'
        when store_share <= 1 - :loyal then 'national brand'
        else 'switcher'
    end as usage_group
from shares
order by customer_id, item
