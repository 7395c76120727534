"""How often the interval of a campaign's effect holds the truth: ``python tests/benchmarks/campaign.py --repeats 2000``.

Skewed spend with few members held back, an effect that is known. Each row: distribution, members held back, share of the
intervals that hold the effect (of 95 % intervals: `campaign_effect`, and a plain normal interval beside it), and how many members
would have to be held back to see an effect of 5 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd

from crmkit.campaigns._interval_math import difference_interval
from crmkit.campaigns.sample_size import holdout_size

SHARE, LIFT = 0.1, 0.05
Draw = Callable[[np.random.Generator, int], np.ndarray]
SPENDS: dict[str, Draw] = {
    "log-normal, sd of the log 1.0": lambda rng, n: rng.lognormal(0, 1, n),
    "half buy nothing, the others log-normal": lambda rng, n: rng.lognormal(0, 1, n) * (rng.random(n) < 0.5),
    "gamma, shape 0.5": lambda rng, n: rng.gamma(0.5, 1.0, n),
}


def covered(draw: Draw, held_back: int, repeats: int) -> tuple[float, float]:
    """Share of intervals that hold the effect: crmkit's, and normal ones."""
    n, hits = round(held_back / SHARE), np.zeros(2)
    for seed in range(repeats):
        rng = np.random.default_rng([seed, held_back])
        spend = draw(rng, n)
        y, x = spend[held_back:] + LIFT, spend[:held_back]
        low, high = difference_interval(y, x)
        half = 1.96 * np.sqrt(y.var(ddof=1) / len(y) + x.var(ddof=1) / len(x))
        hits += [low <= LIFT <= high, abs(y.mean() - x.mean() - LIFT) <= half]
    return float(hits[0] / repeats), float(hits[1] / repeats)


def main() -> None:
    """Print a row per distribution and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--held-back", type=int, nargs="+", default=[20, 50, 100])
    options = parser.parse_args()
    rows = []
    for name, draw in SPENDS.items():
        many = draw(np.random.default_rng(0), 100_000)
        needed = holdout_size(LIFT, mean=float(many.mean()), sd=float(many.std()), share=SHARE).held_out
        for held_back in options.held_back:
            own, normal = covered(draw, held_back, options.repeats)
            rows.append((name, held_back, own, normal, needed))
    columns = ["spend", "held back", "covered", "covered, normal", "needed to see 5 %"]
    print(pd.DataFrame(rows, columns=columns).to_string(index=False, float_format=lambda x: f"{x:.3f}"))


if __name__ == "__main__":
    main()
