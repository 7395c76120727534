"""Data to try things on: the sample shop that comes with crmkit, and the customers of a well-known paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from crmkit._checks import require
from crmkit.exceptions import ConfigError, NoInputError
from crmkit.ingest.extracts import read_extract
from crmkit.ingest.tables import Products
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections

__all__ = ["Sample", "sample", "sample_folder"]


@dataclass(frozen=True)
class Sample:
    """Sales to try things on.

    Attributes
    ----------
    log : Transactions
        The valid lines, with their products' categories where these are known.
    rejections : Rejections
        What became of the others.
    files : mapping of str to Path
        The files as a shop would deliver them, by name: of the sample shop also ``crmkit.toml``, the configuration of its run.
    """

    log: Transactions
    rejections: Rejections
    files: dict[str, Path] = field(repr=False)


def sample(name: str = "shop") -> Sample:
    """A data set as files and as a log.

    Parameters
    ----------
    name : {"shop", "cdnow"}
        ``"shop"``: a year of 273 members of a supermarket, with products, members and deals; it comes with crmkit.
        ``"cdnow"``: the 2,357 customers of Fader, Hardie & Lee (2005), in the copy of the package lifetimes
        (``pip install 'crmkit[lifetimes]'``).

    Returns
    -------
    Sample

    Raises
    ------
    ConfigError
        There is no such data set, or the package that holds it is not installed.

    Examples
    --------
    >>> shop = sample()
    >>> shop.log.until, sorted(shop.files)[:3]
    (datetime.date(2017, 12, 31), ['crmkit.toml', 'deals.csv', 'members.csv'])
    >>> shop.rejections.rows_used
    163030
    """
    if name not in _SETS:
        raise ConfigError(f"There is no data set {name!r}; there are {sorted(_SETS)}.")
    return _SETS[name]()


def sample_folder() -> Path:
    """Where the sample shop lies: in a checkout beside the package, in an installed package inside it."""
    package = Path(__file__).parent
    found = [
        folder
        for folder in (package.parent / "data" / "sample", package / "_sample")
        if (folder / "crmkit.toml").is_file()
    ]
    if not found:
        raise NoInputError("The sample was not found. Clone the repository, or install crmkit from its wheel.")
    return found[0]


def _shop() -> Sample:
    home = sample_folder()
    products = Products.from_extract(read_extract(home / "products.csv.gz"), product_id="sku")
    log, rejections = Transactions.split_extract(
        read_extract(str(home / "transactions*.csv.gz")),
        until="2017-12-31",
        time_zone="America/New_York",
        products=products,
        customer_id="card_no",
        purchased_at="till_time",
        amount="net_paid",
        order_id="receipt",
        product_id="sku",
    )
    return Sample(log, rejections, {file.name: file for file in sorted(home.iterdir()) if file.name != "README.md"})


def _cdnow() -> Sample:
    """Lines of a master id, an id, a day, a number of CDs and dollars, in columns of fixed width."""
    import pandas as pd

    spec = find_spec("lifetimes") or require("lifetimes", "lifetimes").__spec__
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "datasets" / "CDNOW_sample.txt"
    names = ["master_id", "customer_id", "purchased_at", "quantity", "amount"]
    orders = pd.read_csv(file, sep=r"\s+", header=None, names=names, dtype={"customer_id": str, "purchased_at": str})
    log, rejections = Transactions.split_extract(
        orders.drop(columns="master_id"), until="1998-06-30", time_format="%Y%m%d"
    )
    return Sample(log, rejections, {file.name: file})


_SETS = {"shop": _shop, "cdnow": _cdnow}
