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
        f"included, in processor seconds beside commit {found['base']}; {found['date']}, {found['machine']} "
        "(`python tests/benchmarks/speed.py --journey FOLDER --base TREE --copies 1 3 10`):"
    )
    rows = [
        f"| {row['words']}{'' if row['copies'] == 1 else ', households × ' + str(row['copies'])} | {row['seconds']:.1f} s | "
        f"{beside(row)} | {row['peak MB']:,.0f} MB |"
        for row in found["rows"]
    ]
    return "\n".join([head, "", "| | now | before | peak memory |", "|---|---|---|---|", *rows])


def beside(row: dict[str, Any]) -> str:
    return f"{row['base']:.1f} s, {1 / row['ratio']:.1f} ×" if "base" in row else ""


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
