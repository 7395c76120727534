"""Make README's table of speed of what ``tests/benchmarks/speed.py --json FILE`` wrote: ``python scripts/speed_table.py FILE``.

It replaces what stands between the two marks in README.md, with the date, the machine and the commit it was compared with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

START, END = "<!-- speed: made by scripts/speed_table.py -->", "<!-- /speed -->"


def table(found: dict[str, Any]) -> str:
    """The rows as a table in Markdown."""
    head = (
        f"The main job on the whole Complete Journey (2,469 households, 1.47 million lines), everything a user waits for "
        f"included, its SQL too, in processor seconds beside commit {found['base']} or, where named, beside lifetimes in the same "
        f"process; {found['machine']} (`python tests/benchmarks/speed.py --journey FOLDER --base TREE --copies 1 3 10 "
        "--pairs 1e8 --members 1e6`):"
    )
    return "\n".join(
        [
            head,
            "",
            "| | now | a row | before | goal | peak memory | measured |",
            "|---|---|---|---|---|---|---|",
            *map(line, found["rows"]),
        ]
    )


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    what = row["words"] + ("" if row["copies"] == 1 else f", households × {row['copies']}")
    each = f"{1e6 * row['seconds'] / row['rows']:.2f} µs" if row["rows"] > 1000 else ""
    cells = [what, f"{row['seconds']:.1f} s", each, beside(row), goal(row), f"{row['peak MB']:,.0f} MB", row["date"]]
    return f"| {' | '.join(cells)} |"


def beside(row: dict[str, Any]) -> str:
    if "peer" in row:
        return f"lifetimes {row['peer']:.1f} s, {row['peer'] / row['seconds']:.1f} ×"
    return f"{row['base']:.1f} s, {1 / row['ratio']:.1f} ×" if "base" in row else ""


def goal(row: dict[str, Any]) -> str:
    """What was aimed at, and by how much it is missed."""
    if not row["goal"] or "ratio" not in row:
        return ""
    missed = row["ratio"] / row["goal"] - 1
    return f"{1 / row['goal']:.1f} ×{'' if missed <= 0 else f', missed by {missed:.0%}'}"


def main() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    if not after:
        raise SystemExit(f"README.md lacks the marks {START} and {END}.")
    made = table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    readme.write_text(f"{before}{START}\n{made}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
