-- Sums over published probabilities in tenths of equal size, from the smallest probability on. `{scored}` has key, p, baseline
-- and came (1 where it came true).
with bounded as (
    select
        key,
        came,
        least(greatest(p, 1e-12), 1 - 1e-12) as p,
        least(greatest(baseline, 1e-12), 1 - 1e-12) as baseline
    from {scored}
),
ranked as (select *, ntile(10) over (order by p, key) as tenth from bounded)
select
    cast(tenth as bigint) as tenth,
    cast(count(*) as bigint) as n,
    cast(sum(p) as double) as expected,
    cast(sum(came) as double) as observed,
    cast(sum(p * (1 - p)) as double) as variance,
    cast(sum(came * ln(p) + (1 - came) * ln(1 - p)) as double) as log_likelihood,
    cast(sum(came * ln(baseline) + (1 - came) * ln(1 - baseline)) as double) as baseline_log_likelihood,
    cast(sum(case when p >= 0.5 then 1 else 0 end) as bigint) as called,
    cast(sum(case when p >= 0.5 then came else 0 end) as bigint) as came_true
from ranked
group by tenth
order by tenth
