"""The simulated province's files: valid for a study, histories beside the tables. A demo of one block."""

import tomllib

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from fedrisk.alignment.ids import normalise
from fedrisk.institution import load_institution
from sim_institutions.files import small_delta, write
from sim_institutions.profiles import PROFILES
from support.simulation import check_histories, check_prefectures, check_tables

N = 6000


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    write(N, 7, out, workers=1)
    return out


def test_files_agree_with_their_tables(demo):
    check_tables(demo)


def test_prefecture_offices_share_the_provincial_table(demo):
    check_prefectures(demo)


def test_histories_have_the_tables_rows_and_eighteen_months(demo):
    check_histories(demo, "city_bank")


def test_point_in_time_columns_follow_from_the_histories(demo):
    history = pq.read_table(demo / "histories" / "tax_office.parquet").to_pandas()
    table = pq.read_table(demo / "data" / "tax_office.parquet").to_pandas()
    amount = history[[f"invoice_amount_m{t:02d}" for t in range(1, 19)]].to_numpy()
    complete = ~np.isnan(amount).any(axis=1)
    total = amount[complete, 6:].sum(axis=1)
    np.testing.assert_allclose(table["invoice_amount"][complete], total, rtol=0.01)
    assert (table["filing_gaps"][complete] == 0).all()
    # The last month may be late, which is no gap.
    gaps = np.isnan(amount[:, 6:17]).sum(axis=1)
    assert (table["filing_gaps"] >= gaps).all()
    assert (table["filing_gaps"] <= gaps + 1).all()


def test_rows_of_two_institutions_are_in_unrelated_orders(demo):
    ids = [
        normalise(pq.read_table(demo / "data" / f"{n}.parquet")["uscc"].to_pylist(), "uscc")[0]
        for n in ("tax_office", "power_utility")
    ]
    place = [pd.Series(range(len(i)), index=i) for i in (i[:20_000] for i in ids)]
    both = place[0].index.intersection(place[1].index).difference([""])
    # Rank correlation of some thousands of random orders: its standard deviation is below .02, and .12 is six
    # of them.
    assert len(both) > 3000
    assert abs(np.corrcoef(place[0][both], place[1][both])[0, 1]) < 0.12


@pytest.mark.parametrize(
    ("rows", "delta"), [(1000, 1e-6), (100_000, 1e-6), (1_200_000, 8e-8), (4_900_000, 2e-8)]
)
def test_delta_is_at_most_a_tenth_of_one_over_the_rows(rows, delta):
    assert small_delta(rows) == pytest.approx(delta)
    assert small_delta(rows) <= 0.1 / rows


def test_the_study_is_planned_with_the_default_rate_of_the_profile(demo):
    text = tomllib.loads((demo / "study.toml").read_text(encoding="utf-8"))
    assert text["expected"]["default_rate"] == PROFILES["demo"].default_rate
    borrowers = set()
    for bank in ("city_bank", "rural_bank", "quick_bank"):
        borrowers |= set(load_institution(demo / "institutions" / f"{bank}.toml").read().ids)
    assert len(borrowers) == pytest.approx(text["expected"]["enterprises"], rel=0.03)
