"""The store from the command line: ``crmkit load``, ``crmkit store check|compact|history|rebuild``."""

from __future__ import annotations

import warnings
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crmkit.exceptions import ConfigError, CrmkitWarning
from crmkit.pipeline.terminal import say

if TYPE_CHECKING:
    from crmkit.ingest.tables import Products, Rates
    from crmkit.pipeline.config import Config
    from crmkit.transactions.delivery_folder import FolderLoad
    from crmkit.transactions.store import Store

__all__ = ["app", "load_new_files"]

app = typer.Typer(help="Look after a store.", no_args_is_help=True, rich_markup_mode=None)
Where = Annotated[Path, typer.Argument(help="Configuration file with a [store] folder, or the folder itself.")]


def load_new_files(config: Path) -> tuple[FolderLoad, list[str]]:
    """Load what is new of the configured transactions; returns what became of each file, and what to note."""
    from crmkit.ingest.layouts import note_in_words
    from crmkit.pipeline.config import read_config
    from crmkit.pipeline.pseudonym_keys import pseudonyms_of
    from crmkit.transactions.delivery_folder import load_folder
    from crmkit.transactions.erasure import Tombstones, erase_again

    settings, home = read_config(config), config.resolve().parent
    sales, forgotten = settings.transactions, Tombstones.read(home / settings.privacy.folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CrmkitWarning)
        store = _store_of(settings, config)
        done = load_folder(
            store,
            sales.source(home),
            until=_until(settings, home),
            incoming=settings.store.incoming,
            read=sales.options(home, settings.currency),
            products=_products(settings, home),
            rates=_rates(settings, home),
            pseudonyms=pseudonyms_of(settings, home, forgotten),
            **sales.line_options(),
        )
    if done.loads:
        erase_again(store, forgotten)
    known = [note_in_words(sales.layout)] if sales.layout and done.loads else []
    return done, known + [str(one.message) for one in caught if issubclass(one.category, CrmkitWarning)]


def _until(settings: Config, home: Path) -> date:
    from crmkit._hashes import FileHashes
    from crmkit.pipeline.nightly import observed_until
    from crmkit.pipeline.sources import Delivery

    if isinstance(settings.until, date):
        return settings.until
    return observed_until(settings, Delivery.of(settings, home, FileHashes(home / ".hashes.json")))


def _products(settings: Config, home: Path) -> Products | None:
    from crmkit.ingest.extracts import read_extract
    from crmkit.ingest.tables import Products

    source = settings.products
    if source is None:
        return None
    return Products.from_extract(
        read_extract(source.source(home), **source.read_options(settings.currency)), **source.columns
    )


def _rates(settings: Config, home: Path) -> Rates | None:
    from crmkit.ingest.extracts import read_extract
    from crmkit.ingest.tables import Rates

    source = settings.rates
    return Rates.from_extract(read_extract(source.source(home)), **source.columns) if source else None


def _store_of(settings: Config, config: Path) -> Store:
    store = settings.store.store(config.resolve().parent)
    if store is None:
        raise ConfigError(f'{config.name} has no store. Name its folder: [store] folder = "store".')
    return store


def _store(where: Path) -> Store:
    from crmkit.pipeline.config import read_config
    from crmkit.transactions.store import Store

    return Store(where) if where.is_dir() else _store_of(read_config(where), where)


@app.command()
def check(where: Where) -> None:
    """Read every file: whether its content is what was written, and whether the tables agree. Ends with 65 if not.

    Example: crmkit store check crmkit.toml
    """
    report = _store(where).check()
    say(str(report))
    if not report.is_whole:
        raise typer.Exit(65)


@app.command()
def compact(where: Where) -> None:
    """Merge the files of each month and remove old ones; loads do so by themselves.

    Example: crmkit store compact crmkit.toml
    """
    store = _store(where)
    store.compact()
    say(str(store.check()))


@app.command()
def history(where: Where) -> None:
    """What became of every file that was delivered.

    Example: crmkit store history crmkit.toml
    """
    say(_store(where).history().drop(columns="sha256").to_string(index=False))


@app.command()
def rebuild(where: Where) -> None:
    """Rebuild every table from what is left of a damaged store. Ends with 65 where files must be loaded again.

    Example: crmkit store rebuild crmkit.toml
    """
    report = _store(where).rebuild()
    say(str(report))
    if not report.is_whole:
        raise typer.Exit(65)
