"""Tables by member a piece at a time: no member is cut, no row is lost, and what was made of pieces is what is made of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from crmkit.campaigns.won_back import what_to_offer
from crmkit.engine.pieces import columns_of, whole_members, written


def rows_of(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(n)
    ids = [f"{number:03d}" for number in np.sort(rng.integers(0, 30, n))]
    return pd.DataFrame({"customer_id": pd.Series(ids, dtype="str"), "x": rng.random(n)})


@pytest.mark.parametrize("n", [0, 1, 200])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_no_member_is_cut_and_no_row_is_lost(n: int, rows: int, tmp_path: Path) -> None:
    table = rows_of(n)
    table.to_parquet(tmp_path / "table.parquet", row_group_size=50, index=False)
    pieces = list(whole_members(tmp_path / "table.parquet", rows=rows))
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), table)
    members = [member for piece in pieces for member in piece["customer_id"].unique()]
    assert len(members) == len(set(members))
    assert len(pieces) > 20 or rows > 7 or n < 200


def test_pieces_are_written_as_one_table(tmp_path: Path) -> None:
    table = rows_of(200)
    table.to_parquet(tmp_path / "table.parquet", index=False)
    doubled = (
        piece.assign(y=2 * piece["x"])
        for piece in whole_members(tmp_path / "table.parquet", ["x", "customer_id"], rows=7)
    )
    path = written(doubled, tmp_path / "doubled.parquet")
    assert columns_of(path) == ["x", "customer_id", "y"]
    assert pq.read_table(path)["y"].to_pylist() == (2 * table["x"]).tolist()


def test_the_deal_that_fits_is_found_in_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = np.random.default_rng(3).integers(0, 3, (40, 2)).astype(float)
    shares = pd.DataFrame({"customer_id": np.repeat([f"{n:02d}" for n in range(10)], 4), "deal_id": list("abcd") * 10})
    shares = shares.assign(category_days=days[:, 0] + 1, own_days=days[:, 1])
    shares.to_parquet(tmp_path / "shares.parquet", index=False)
    deals = pd.DataFrame({"deal_id": list("abcd"), "title": list("ABCD"), "category": "Tea"})
    listed = pd.DataFrame({"customer_id": ["03", "99", "01"]})
    monkeypatch.setattr("crmkit.engine.pieces._ROWS", 5)
    here, in_file = (what_to_offer(listed, given, deals) for given in (shares, tmp_path / "shares.parquet"))
    pd.testing.assert_frame_equal(here, in_file)
    assert here["offer"].notna().tolist() == [True, False, True]
