"""Customer tables that stay where they are: a fit on counts of equal customers, and scores without collecting anybody.

A buy-till-you-die model sees of a customer whole days only: frequency, recency and T. Customers who are equal in these
form a cell, and there are no more cells than the calendar allows, however many customers. So a model is fitted on the
cells and their counts, and scored once per cell; the scores are joined back. What depends on more than whole days
(the mean spend, the columns of a classifier) is scored where the rows are, in Arrow batches.

The same calls take pandas tables, and Parquet files of any size: `score_file` streams them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from crmkit._atomic import replacing
from crmkit._checks import require_columns
from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_of
from crmkit.engine.frames import Frame, FrameT, SparkFrame, map_columns
from crmkit.exceptions import ConfigError
from crmkit.models._base import Model

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from crmkit._types import Floats

__all__ = ["customer_cells", "fit_customers", "score_customers", "score_file"]

WHOLE_DAYS = ("frequency", "recency", "T")
_BROADCAST = 2_000_000
_EXACT = 200_000
_CHUNK = 1_000_000

M = TypeVar("M", bound=Model)


class Classifier(Protocol):
    """What has a probability of each class, as scikit-learn's classifiers have."""

    def predict_proba(self, X: pd.DataFrame, /) -> Floats: ...


def customer_cells(
    customers: Frame | str | os.PathLike[str],
    columns: Sequence[str] = WHOLE_DAYS,
    means: Sequence[str] = (),
    cents: bool = True,
) -> pd.DataFrame:
    """Distinct customers and how many there are of each; on Spark this is all that comes to the driver.

    Parameters
    ----------
    customers : pandas or Spark DataFrame, or path of a Parquet file
        One row per customer, from `btyd_summary`.
    columns : sequence of str
    means : sequence of str
        Columns whose mean is wanted of each cell.
    cents : bool
        Money (``monetary_value``) is taken to the cent, so that there are fewer cells.

    Returns
    -------
    pandas DataFrame
        The columns, in order, the means, and n_customers.

    Examples
    --------
    >>> customers = pd.DataFrame({"frequency": [0, 1, 0], "recency": [0, 7, 0], "T": [30, 30, 30]})
    >>> customer_cells(customers)
       frequency  recency   T  n_customers
    0          0        0  30            2
    1          1        7  30            1
    """
    _check_columns(customers, [*columns, *means])
    with engine_of(customers) as engine:
        names = [engine.quoted(name) for name in columns]
        keys = [
            f"round({key}, 2)" if cents and name == "monetary_value" else key
            for key, name in zip(names, columns, strict=True)
        ]
        averages = [f"avg(cast({name} as double)) as {name}" for name in map(engine.quoted, means)]
        chosen = ", ".join([*(f"{key} as {name}" for key, name in zip(keys, names, strict=True)), *averages])
        return engine.frame(
            f"""select {chosen}, cast(count(*) as bigint) as n_customers from {_relation(engine, customers)}
            group by {", ".join(keys)} order by {", ".join(f"{name} nulls last" for name in names)}"""
        )


def fit_customers(model: M, customers: Frame | str | os.PathLike[str]) -> M:
    """Fit a model on a customer table; on Spark, or from a file, on the counts of equal customers, which are all that is
    collected.

    Parameters
    ----------
    model : BGNBD, ParetoNBD, …, GammaGamma or CustomerLifetimeValue
        Any model of purchases or spend.
    customers : pandas or Spark DataFrame, or path of a Parquet file
        One row per customer, from `btyd_summary`.

    Returns
    -------
    The model, fitted. On Spark, or from a file, the parameters are those of a fit on all rows, but of more than 200,000
    customers money is taken to the cent.

    Examples
    --------
    >>> from crmkit.models import BGNBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})
    >>> many = table.loc[np.repeat(table.index, [300, 40, 40, 20, 15, 8, 8])]
    >>> {name: round(value, 2) for name, value in fit_customers(BGNBD(), many).params_.items()}
    {'r': 0.2, 'alpha': 7.87, 'a': 0.52, 'b': 0.98}
    """
    if isinstance(customers, pd.DataFrame):
        return model.fit_parts(lambda part: part.fit(customers))
    return model.fit_parts(lambda part: _fit_on_cells(part, customers))


def _fit_on_cells(model: M, customers: Frame | str | os.PathLike[str]) -> M:
    with engine_of(customers) as engine:
        n = int(engine.frame(f"select count(*) as n from {_relation(engine, customers)}")["n"][0])
    cells = customer_cells(customers, model.cell_columns, model.mean_columns, cents=n > _EXACT)
    fitted: M = model.fit(cells.drop(columns="n_customers"), sample_weight=cells["n_customers"])
    return fitted


def score_customers(customers: FrameT, **scores: object) -> FrameT:
    """A customer table with a column added for each score; on Spark nothing is collected but cells.

    Parameters
    ----------
    customers : pandas or Spark DataFrame
        One row per customer.
    **scores
        New column = a fitted model (`CustomerLifetimeValue`, any scikit-learn estimator; of a classifier it is the
        probability of its second class), or a method of one (``model.probability_alive``), or a
        ``functools.partial`` of such a method (``partial(model.expected_purchases, horizon=90)``). The model must know
        its columns: ``feature_names_in_``, which every estimator has that was fitted on a table with names.

    Returns
    -------
    DataFrame of the same kind
        A Spark DataFrame is not computed yet. A score of whole days (BGNBD's) needs no Python on the executors; the
        others need crmkit there, and the package that an estimator comes from.

    Raises
    ------
    ConfigError
        A score does not know its columns, or the table has a column of its name.
    ContractError
        The table lacks a column.

    Examples
    --------
    >>> from crmkit.models import BGNBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})
    >>> model = BGNBD().fit(table, sample_weight=[300, 40, 40, 20, 15, 8, 8])
    >>> ahead = partial(model.expected_purchases, horizon=13)
    >>> score_customers(table, p_alive=model.probability_alive, purchases=ahead).iloc[6].round(2).tolist()
    [9.0, 37.0, 39.0, 0.92, 2.21]
    """
    taken = sorted(set(scores) & set(customers.columns))
    if taken:
        raise ConfigError(f"The table has columns {taken} already. Give the scores other names.")
    terms = {name: list(_terms(name, score)) for name, score in scores.items()}
    for term in (term for product in terms.values() for term in product):
        _check_columns(customers, term.columns)
    if isinstance(customers, pd.DataFrame):
        return _on_pandas(customers, terms)
    return _scored_in_place(customers, terms)


def score_file(source: str | os.PathLike[str], target: str | os.PathLike[str], **scores: object) -> Path:
    """Score a Parquet file of customers, a million rows at a time: memory does not grow with the file.

    Parameters
    ----------
    source, target : path
        Parquet files; what stands at ``target`` is replaced once the new file is complete.
    **scores
        As in `score_customers`.

    Returns
    -------
    Path
        ``target``: the rows of ``source``, in order, with a column added for each score.

    Raises
    ------
    ConfigError, ContractError
        As `score_customers` does.

    Examples
    --------
    >>> import tempfile
    >>> from crmkit.models import BGNBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})
    >>> model = BGNBD().fit(table, sample_weight=[300, 40, 40, 20, 15, 8, 8])
    >>> home = Path(tempfile.mkdtemp())
    >>> table.to_parquet(home / "customers.parquet")
    >>> scored = score_file(home / "customers.parquet", home / "scored.parquet", p_alive=model.probability_alive)
    >>> pd.read_parquet(scored)["p_alive"].round(2).tolist()
    [1.0, 0.28, 0.58, 0.44, 0.74, 0.31, 0.92]
    """
    with pq.ParquetFile(source) as file, replacing(Path(target)) as part, pa.OSFile(str(part), "wb") as sink:
        _write_scored(file, sink, scores)
    return Path(target)


def _write_scored(file: pq.ParquetFile, sink: pa.NativeFile, scores: Mapping[str, object]) -> None:
    writer = None
    for batch in file.iter_batches(_CHUNK):
        scored = pa.Table.from_pandas(score_customers(batch.to_pandas(), **scores), preserve_index=False)
        writer = writer or pq.ParquetWriter(sink, scored.schema, compression="zstd")
        writer.write_table(scored.cast(writer.schema))
    if writer:
        writer.close()


@dataclass(frozen=True)
class _Term:
    """One factor of a score: a function of a table with these columns."""

    columns: tuple[str, ...]
    score: Callable[[pd.DataFrame], ArrayLike]

    @property
    def of_cells(self) -> bool:
        return set(self.columns) <= set(WHOLE_DAYS)

    def __call__(self, table: pd.DataFrame) -> Floats:
        return np.asarray(self.score(table[list(self.columns)]), dtype=np.float64)


def _terms(name: str, score: object) -> Iterator[_Term]:
    model: Any = getattr(getattr(score, "func", score), "__self__", score)
    columns = tuple(map(str, getattr(model, "feature_names_in_", ())))
    if not columns:
        raise ConfigError(
            f"{name}: a {type(model).__name__} does not say which columns it needs. Pass a model that was fitted on a "
            "table with column names, or one of its methods."
        )
    if callable(score):
        yield _Term(columns, score)
    elif isinstance(model, Model):
        yield from (_Term(*term) for term in model.score_terms())
    else:
        yield _Term(columns, partial(_second_class, model) if hasattr(model, "predict_proba") else model.predict)


def _second_class(model: Classifier, table: pd.DataFrame) -> Floats:
    return model.predict_proba(table)[:, 1]


def _on_pandas(customers: pd.DataFrame, terms: Mapping[str, list[_Term]]) -> pd.DataFrame:
    return customers.assign(**{name: np.prod([term(customers) for term in terms[name]], axis=0) for name in terms})


def _scored_in_place(customers: SparkFrame, terms: Mapping[str, list[_Term]]) -> SparkFrame:
    """Batches first, then one join with the scored cells, then the products."""
    flat = {f"{name}_{place}": term for name, product in terms.items() for place, term in enumerate(product)}
    of_cells = {name: term for name, term in flat.items() if term.of_cells}
    of_rows = {name: (term.columns, term) for name, term in flat.items() if not term.of_cells}
    with engine_of(customers) as engine:
        rows = engine.register(map_columns(customers, of_rows) if of_rows else customers)
        kept = ", ".join(f"c.{engine.quoted(name)}" for name in customers.columns)
        products = ", ".join(
            " * ".join(
                f"{'s' if term.of_cells else 'c'}.{engine.quoted(f'{name}_{place}')}"
                for place, term in enumerate(product)
            )
            + f" as {engine.quoted(name)}"
            for name, product in terms.items()
        )
        hint = join = ""
        if of_cells:
            keys = [name for name in WHOLE_DAYS if any(name in term.columns for term in of_cells.values())]
            cells = customer_cells(customers, keys)
            scored = cells[keys].assign(**{name: term(cells) for name, term in of_cells.items()})
            hint = "/*+ broadcast(s) */ " if len(cells) <= _BROADCAST else ""
            same = " and ".join(f"c.{engine.quoted(key)} = s.{engine.quoted(key)}" for key in keys)
            join = f"left join {engine.register(scored)} s on {same}"
        return engine.query(f"select {hint}{kept}, {products} from {rows} c {join}")


def _is_path(customers: Frame | str | os.PathLike[str]) -> TypeIs[str | os.PathLike[str]]:
    return isinstance(customers, str | os.PathLike)


def _relation(engine: SqlEngine, customers: Frame | str | os.PathLike[str]) -> str:
    return engine.parquet(Path(customers)) if _is_path(customers) else engine.register(customers)


def _check_columns(table: Frame | str | os.PathLike[str], columns: Sequence[str]) -> None:
    require_columns(pq.read_schema(table).names if _is_path(table) else table.columns, columns)
