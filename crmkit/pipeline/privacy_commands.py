"""People's data from the command line: ``crmkit forget``, ``crmkit show``, ``crmkit purge``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from crmkit.pipeline.terminal import say

__all__ = ["COMMANDS"]

Config = Annotated[Path, typer.Option("--config", help="Configuration file (TOML): it names the store.")]
Out = Annotated[Path, typer.Option("--out", help="Output folder of the runs.")]


def forget(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As the tills deliver them.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Text file with one id a line.")] = None,
    config: Config = Path("crmkit.toml"),
    out: Out = Path("out"),
) -> None:
    """Erase customers from the store, all runs, campaigns and lists, and leave them out of what comes.

    Their money stays in the sales, as that of nobody known. Safe to repeat.

    Example: crmkit forget 0049 0051 --config crmkit.toml --out out/
    """
    from crmkit.pipeline.people import forget as erase

    named = [*(ids or []), *(file.read_text(encoding="utf-8-sig").splitlines() if file else [])]
    say(str(erase(named, config, out)))


def show(
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="The customer.")],
    config: Config = Path("crmkit.toml"),
    out: Out = Path("out"),
    page: Annotated[Path | None, typer.Option("--page", help="Write a page (HTML) instead of printing JSON.")] = None,
) -> None:
    """Print all that is held of one customer (the right of access), as JSON or as a page.

    Example: crmkit show 0049 --config crmkit.toml --out out/ --page held.html
    """
    from crmkit.pipeline.people import held_of
    from crmkit.reports.held_data import held_data

    held = held_of(customer_id, config, out)
    if page is None:
        say(json.dumps(held, indent=1, default=str, ensure_ascii=False))
        return
    say(f"Page: {held_data(held).save(page)}")


def purge(
    older_than: Annotated[
        int | None, typer.Option("--older-than", min=1, help="Days before the newest run, of runs and campaigns.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Configuration file with [privacy] keep.")] = None,
    out: Out = Path("out"),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove runs, campaigns and printed lists that are older than some days; what would go is listed first.

    Example: crmkit purge --older-than 365 --out out/
    Example: crmkit purge --config crmkit.toml --out out/ --yes
    """
    from crmkit.pipeline.config import read_config
    from crmkit.pipeline.people import purge as remove
    from crmkit.pipeline.people import to_purge

    keep = {str(kind): days for kind, days in read_config(config).privacy.keep.items()} if config else {}
    if older_than is not None:
        keep |= {"runs": older_than, "campaigns": older_than}
    if not keep:
        raise typer.BadParameter(
            "say how long: --older-than DAYS, or --config with [privacy] keep = { runs = 365, lists = 90 }."
        )
    found = to_purge(out, keep)
    if not found:
        say(f"Nothing is older than {', '.join(f'{days:,} days ({kind})' for kind, days in sorted(keep.items()))}.")
        return
    say("\n".join(f"To be removed: {one}" for one in found))
    if not yes and sys.stdin.isatty() and not typer.confirm(f"Remove {len(found):,} folders?"):
        raise typer.Abort
    remove(out, found)
    say(f"{len(found):,} folders were removed.")


def reveal(
    pseudonyms: Annotated[list[str], typer.Argument(metavar="PSEUDONYM...", help="As lists and tables bear them.")],
    config: Config = Path("crmkit.toml"),
) -> None:
    """Say whose pseudonyms these are. Needs the key and the table to re-identify, which is in [privacy] folder.

    Example: crmkit reveal iolretc5ojmsi3yecbyqvhiu --config crmkit.toml
    """
    from crmkit.pipeline.pseudonym_keys import reveal as ids_of

    found = ids_of(pseudonyms, config)
    for one in pseudonyms:
        say(f"{one}: {found.get(one.strip().lower(), 'nobody known')}")


def rekey(
    new_key: Annotated[Path, typer.Argument(metavar="FILE", help="The new key, 16 bytes or more.")],
    config: Config = Path("crmkit.toml"),
    out: Out = Path("out"),
) -> None:
    """Change the key of the pseudonyms: in the store, runs, campaigns, and the table to re-identify. Safe to repeat.

    Example: crmkit rekey /etc/crmkit/new.key --config crmkit.toml --out out/
    """
    from crmkit.pipeline.key_change import change_key

    say(str(change_key(new_key, config, out)))


COMMANDS = (forget, show, purge, reveal, rekey)
