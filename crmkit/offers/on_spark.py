"""The plan on Spark: members stay where they are, prices go to them, sums come back.

Each partition holds whole members, with everything that is known of them, and works on them as one machine does on all
(`crmkit.offers.problem`). The driver sees prices of budgets and sums over partitions, whatever the number of members:

1. one task prices the budgets from a sample of the members;
2. a few dual steps on all members: at given prices each partition tells the value of its members' best lists, and of each
   deal the cost and the number of offers; their sum proves the bound;
3. each partition gets of every budget the share that its members would take of it at the prices found, and makes its
   lists within that share. So the budgets are kept without a word between partitions.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from crmkit import exceptions
from crmkit._types import Floats, Numbers
from crmkit.engine.choose import engine_of
from crmkit.engine.frames import map_partitions, map_rows, to_pandas
from crmkit.exceptions import ContractError
from crmkit.offers.control_group import control_group
from crmkit.offers.eligibility import eligible
from crmkit.offers.needs import Needs, window_of
from crmkit.offers.problem import Problem, eased_value, lists_near
from crmkit.offers.result import OfferResult, PlanTotals, result_of
from crmkit.offers.solver.dual import Prices, price, price_from, proven
from crmkit.offers.solver.market import Demand, Limits, Market
from crmkit.offers.terms import Terms

if TYPE_CHECKING:
    from crmkit.engine.frames import Frame, SparkFrame
    from crmkit.engine.spark import SparkEngine

__all__ = ["solve_on_spark"]

_MEMBERS = 50_000
"""Members of a partition, about."""

_SAMPLE = 40_000
_ABOUT_MEMBERS = ("weekly_spend", "no_contact", "open_complaints", "tier", "slots")
_ABOUT_USAGE = ("customer_id", "category", "brand_group", "usage", "brand_user", "usage_level", "store_share", "n_days")
_SUMS = "sums string"


def solve_on_spark(
    terms: Terms, due: SparkFrame, customers: Frame, usage: Frame | None, received: Frame | None
) -> OfferResult:
    """As `OfferPlan.solve`, ``due`` being a Spark DataFrame."""
    with engine_of(due) as engine:
        terms = _of_these_days(terms, due, engine)
        given = {"due": due, "customers": customers, "usage": usage, "received": received}
        tables = {name: _on_spark(engine, table) for name, table in given.items() if table is not None}
        problem = _empty_problem(terms, tables)
        kept = _needed(terms, problem.needs.item, tables)
        people = map_rows(kept["customers"], partial(_eligible, terms), kept["customers"].schema)
        control = control_group(people, terms.control, terms.key, strata=terms.control_by).persist()
        n = kept["customers"].count()
        parts = _together(kept | {"control": control}, n)
        members = _Partitions(parts, terms, problem.limits, n)
        with _own_errors():
            step = math.ceil(n / _SAMPLE)
            prices = (price_from if step > 1 else proven)(members, members.sampled(step))
            lists = members.lists(prices).persist()
            results = _partition_results(lists.where("sums is not null").select("sums"))
        parts.unpersist()
        nobody = problem.sums(problem.kept(lists_near(problem.market(), prices)))
        return result_of(
            terms, problem.needs, problem.limits, sum((_totals(one["sums"]) for one in results), nobody), prices,
            sum(one["value"] for one in results), sum((Counter(one["exclusions"]) for one in results), Counter()), usage=usage is not None,
            offers=lists.where("offer is not null").select("offer.*"), control=control, n_control=control.count(),
            planned=people.select("customer_id").join(control, "customer_id", "left_anti"),
            tips=lists.where("tip is not null").select("tip.*"),
        )  # fmt: skip


def _of_these_days(terms: Terms, due: SparkFrame, engine: SparkEngine) -> Terms:
    if not {"as_of", "horizon"} <= set(due.columns):
        return terms
    windows = f"select distinct cast(as_of as date) as as_of, horizon from {engine.register(due)} limit 2"
    window = window_of(engine.frame(windows))
    return replace(terms, deals=terms.deals.active(*window)) if window else terms


def _on_spark(engine: SparkEngine, table: Frame) -> SparkFrame:
    return engine.query(f"select * from {engine.register(table)}")


def _empty_problem(terms: Terms, tables: Mapping[str, SparkFrame]) -> Problem:
    """The problem of no members: the columns are checked, the deals and limits are known."""
    nobody = {name: to_pandas(table.drop("as_of", "horizon").limit(0)) for name, table in tables.items()}
    problem = Problem.of(
        terms, Needs(nobody["due"]), nobody["customers"], nobody.get("usage"), nobody.get("received"),
        control=pd.DataFrame({"customer_id": []}),
    )  # fmt: skip
    kinds = {name: dict(tables[name].dtypes)["customer_id"] for name in ("due", "customers")}
    if len(set(kinds.values())) > 1:
        raise ContractError(
            f"customer_id is {kinds['due']} in due and {kinds['customers']} in customers. Use one type."
        )
    return problem


def _needed(terms: Terms, item: str, tables: Mapping[str, SparkFrame]) -> dict[str, SparkFrame]:
    """The tables with the columns that the plan reads."""
    about = {
        "due": ("customer_id", item, "p_purchase", "spend", *(["category"] if terms.tips is not None else [])),
        "customers": ("customer_id", *_ABOUT_MEMBERS, *terms.columns_of_members()),
        "usage": _ABOUT_USAGE,
        "received": ("customer_id", "deal_id"),
    }
    return {
        name: table.select(*(column for column in dict.fromkeys(about[name]) if column in table.columns))
        for name, table in tables.items()
    }


def _eligible(terms: Terms, customers: pd.DataFrame) -> pd.DataFrame:
    return eligible(customers, terms.min_weekly_spend, terms.universal)[0]


def _together(tables: Mapping[str, SparkFrame], n: int) -> SparkFrame:
    """All tables as one, a column of records for each, every member's records in one partition."""
    records = [table.selectExpr("customer_id", f"struct(*) as {name}") for name, table in tables.items()]
    tall = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), records)
    return tall.repartition(max(1, math.ceil(n / _MEMBERS)), "customer_id").persist()


# -- the driver's side: prices out, sums in ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Partitions:
    """All members, asked by way of their partitions."""

    parts: SparkFrame
    terms: Terms
    limits: Limits
    n: int

    def __len__(self) -> int:
        return self.n

    def sampled(self, step: int) -> Prices:
        """Prices from every step-th member, found in one task."""
        sample = self.parts.where(f"pmod(xxhash64(customer_id), {step}) = 0").coalesce(1)
        found = _partition_results(map_partitions(sample, partial(_priced, self.terms, self.n), _SUMS))
        start = Prices(np.zeros(len(self.limits.budget)), np.zeros(len(self.limits.reach)), 0.0)
        return Prices(np.array(found[0]["budgets"]), np.array(found[0]["rewards"]), 0.0) if found else start

    def demand(self, prices: Floats, rewards: Floats) -> Demand:
        """What all members take at these prices, as the sum of what each partition says."""
        asked = Prices(prices, rewards, 0.0)
        found = _partition_results(map_partitions(self.parts, partial(_answered, self.terms, asked), _SUMS))
        nothing = np.zeros(self.limits.use.shape[1])
        return Demand(
            sum(one["value"] for one in found),
            sum((np.array(one["cost"]) for one in found), nothing),
            sum((np.array(one["offers"]) for one in found), nothing),
        )

    def lists(self, prices: Prices) -> SparkFrame:
        """Records of offers and of tips, and one of sums for each partition."""
        total = self.demand(prices.budgets, prices.rewards)
        member = dict(self.parts.dtypes)["customer_id"]
        numbered = self.terms.tips is not None and pd.api.types.is_integer_dtype(self.terms.tips["tip_id"])
        tip = "bigint" if numbered else "string"
        offers = ", ".join(f"{name}: {kind}" for name, kind in (_OFFER | {"customer_id": member}).items())
        tips = ", ".join(f"{name}: {kind}" for name, kind in (_TIP | {"customer_id": member, "tip_id": tip}).items())
        schema = f"offer struct<{offers}>, tip struct<{tips}>, {_SUMS}"
        return map_partitions(self.parts, partial(_listed, self.terms, prices, total, self.n), schema)


def _partition_results(sums: SparkFrame) -> list[dict[str, Any]]:
    """The result of each partition, a line of JSON."""
    return [json.loads(line) for (line,) in sums.collect()]


def _totals(lists: Mapping[str, list[float]]) -> PlanTotals:
    return PlanTotals(**{name: np.array(values, dtype=float) for name, values in lists.items()})


@contextmanager
def _own_errors() -> Iterator[None]:
    """An error of a partition as the error that it was there."""
    try:
        yield
    except Exception as error:
        found = re.search(r"crmkit\.exceptions\.(\w+): (.+)", str(error))
        if found is None:
            raise
        raise getattr(exceptions, found[1])(found[2]) from None


# -- the partitions' side ----------------------------------------------------------------------------------------

_OFFER = {
    "customer_id": "string",
    "deal_id": "string",
    "position": "bigint",
    "expected_gain": "double",
    "p_purchase": "double",
    "p_with_deal": "double",
    "expected_cost": "double",
    "item": "string",
    "value": "double",
    "worth": "double",
    "need": "boolean",
    "p_redeem": "double",
    "is_trial": "boolean",
}
_TIP = {"customer_id": "string", "tip_id": "string", "title": "string", "category": "string", "slot": "bigint"}
_ARROW = {"string": pa.string(), "bigint": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}


def _problem_of(terms: Terms, members: pa.Table) -> tuple[Problem, int]:
    """The problem of a partition's members, and how many these are."""
    given = {name: _records(members[name]) for name in members.column_names if name != "customer_id"}
    usage, received, control = (given.get(name) for name in ("usage", "received", "control"))
    problem = Problem.of(terms, Needs(given["due"]), given["customers"], usage, received, control)
    return problem, len(given["customers"])


def _records(column: pa.ChunkedArray) -> pd.DataFrame:
    found: pd.DataFrame = pa.Table.from_struct_array(column.drop_null().combine_chunks()).to_pandas()
    return found


def _priced(terms: Terms, n: int, members: pa.Table) -> pa.Table:
    problem, here = _problem_of(terms, members)
    limits = _scaled(problem.limits, here / n, here / n)
    found = price(Market(problem.market().blocks, limits))
    return _line(budgets=found.budgets, rewards=found.rewards)


def _answered(terms: Terms, asked: Prices, members: pa.Table) -> pa.Table:
    problem, _ = _problem_of(terms, members)
    found = problem.market().demand(asked.budgets, asked.rewards)
    return _line(**found._asdict())


def _listed(terms: Terms, prices: Prices, total: Demand, n: int, members: pa.Table) -> pa.Table:
    """The lists of a partition within its share of the budgets: the share that its members take at these prices."""
    problem, here = _problem_of(terms, members)
    market = problem.market()
    limits = _own_limits(problem.limits, market.demand(prices.budgets, prices.rewards), total, here / n)
    own = replace(problem, limits=limits)
    found = own.kept(lists_near(Market(market.blocks, limits), prices))
    sums = _line(
        sums=asdict(own.sums(found)), value=eased_value(market, prices, own.worths(found)), exclusions=own.exclusions
    )["sums"]
    member = _type_of(problem.people["customer_id"])
    parts = {"offer": _structs(own.offers(found), _OFFER, member), "tip": _structs(own.tips(), _TIP, member)}
    return _side_by_side(parts | {"sums": sums.combine_chunks()})


def _own_limits(limits: Limits, own: Demand, total: Demand, members: float) -> Limits:
    """A part of every budget and of every reach: as much as the members take of what all take, or of all members."""
    return _scaled(
        limits,
        _part(limits.spent(own.cost, own.offers), limits.spent(total.cost, total.offers), members),
        _part(limits.by @ own.offers, limits.by @ total.offers, members),
    )


def _part(own: Floats, total: Floats, otherwise: float) -> Floats:
    part: Floats = np.divide(own, total, out=np.full(len(total), otherwise), where=total > 0)
    return part


def _scaled(limits: Limits, budgets: Numbers, reach: Numbers) -> Limits:
    return replace(limits, budget=limits.budget * budgets, reach=np.ceil(limits.reach * reach))


def _line(**figures: object) -> pa.Table:
    return pa.table({"sums": [json.dumps(figures, default=_plain)]})


def _plain(figures: Floats) -> list[float]:
    plain: list[float] = figures.tolist()
    return plain


def _structs(table: pd.DataFrame, kinds: Mapping[str, str], member: pa.DataType) -> pa.Array:
    types = {name: _ARROW[kind] for name, kind in kinds.items()} | {"customer_id": member}
    if "tip_id" in table:
        types["tip_id"] = _type_of(table["tip_id"])
    schema = pa.schema(list(types.items()))
    found = pa.Table.from_pandas(table, schema=schema, preserve_index=False).to_struct_array()
    return found.combine_chunks()


def _type_of(ids: pd.Series) -> pa.DataType:
    return pa.from_numpy_dtype(ids.dtype) if pd.api.types.is_integer_dtype(ids) else pa.string()


def _side_by_side(columns: Mapping[str, pa.Array]) -> pa.Table:
    """Columns one below the other, each beside nulls of the others."""
    stacked = {
        name: pa.concat_arrays(
            [column if name == other else pa.nulls(len(rows), column.type) for other, rows in columns.items()]
        )
        for name, column in columns.items()
    }
    return pa.table(stacked)
