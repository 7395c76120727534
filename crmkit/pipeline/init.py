"""A first configuration with the guesses to confirm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crmkit.exceptions import PublishError
from crmkit.ingest.column_inference import Guess, guessed
from crmkit.ingest.databases import is_url
from crmkit.ingest.schemas import CONTRACTS
from crmkit.pipeline.check import check_files, until_line
from crmkit.pipeline.sections import section_of

__all__ = ["initial_config", "write_config"]


# -- A configuration to begin with -----------------------------------------------------------------------------------


def initial_config(files: Sequence[str], home: Path, *, table: str | None = None, query: str | None = None) -> str:
    """A commented configuration for files, its guesses marked ``# confirm:``; paths count from ``home``."""
    sections = {guess.table: (guess, named) for guess, named in _grouped(files, table, query)}
    sales = sections.get("transactions")
    last = check_files(sales[1], layout=None, table=table, query=query).days if sales else None
    head = [
        "# Written by crmkit init. Look at every line marked with confirm, then run: crmkit run crmkit.toml --out out/",
        'title = "Customer report"',
    ]
    currency = sales[0].settings.pop("currency", None) if sales else None
    if currency and sales:
        head.append(f'currency = "{currency}"  # confirm: {sales[0].doubts["currency"]}')
    else:
        head.append('# currency = "EUR"   # of every amount')
    head.append(
        until_line(last[1]) if last else "until = 2026-12-31  # confirm: the last day that was delivered in full"
    )
    blocks = ["\n".join(head) + "\n"]
    for name, (guess, named) in sections.items():
        text = section_of(guess, [_relative(file, home) for file in named])
        blocks.append(text.replace(f"[{name}]\n", f"[{name}]\n{_hints(name)}", 1))
    return "\n".join([*blocks, _REST])


_REST = """# [value]
# horizon = 365            # days ahead for which value is predicted
# annual_discount = 0.10

# [churn]
# horizon = 30             # no purchase within so many days

# [repurchase]
# by = "category"          # or "product_id"
# horizon = 14

# [offers]                 # needs [deals]
# slots = 8
# store_budget = 500.0     # the most that the shop pays
# funder_budgets = { "Dairy" = 200.0 }
# min_worth = { A = 30.0 } # what a list of the best tier is worth, at least
"""


def _hints(table: str) -> str:
    return (
        '# time_zone = "Europe/Berlin"   # the shop\'s own; needed where times state offsets\n'
        if (table == "transactions")
        else ""
    )


def _grouped(files: Sequence[str], table: str | None, query: str | None) -> list[tuple[Guess, list[str]]]:
    """Files by the table they seem to be, each with its guess; of several guesses for a table the first stands."""
    found: dict[str, tuple[Guess, list[str]]] = {}
    for file in files:
        guess = guessed([file], table=table, query=query)
        if guess.table in found:
            found[guess.table][1].append(file)
        else:
            found[guess.table] = (guess, [file])
    return [found[table] for table in CONTRACTS if table in found]


def _relative(file: str, home: Path) -> str:
    import os

    return file if is_url(file) else Path(os.path.relpath(file, home)).as_posix()


def write_config(files: Sequence[str], out: Path, *, table: str | None = None, query: str | None = None) -> Path:
    """Write a configuration to begin with.

    Raises
    ------
    PublishError
        The file is there already, or cannot be written.
    """
    text = initial_config(files, out.resolve().parent, table=table, query=query)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise PublishError(f"{out} already exists and was not changed. Name another file: --out other.toml.") from None
    except OSError as error:
        raise PublishError(f"{out} cannot be written: {error.strerror}.") from error
    return out
