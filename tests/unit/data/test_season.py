"""Seasonal indices of a series: what a file may say, and months without the season by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.season import without_season
from fedrisk.errors import ConfigError
from fedrisk.institution import Institution

YEAR = [1.5, 0.5] + 10 * [1.0]
FARMS = 6 * [0.8] + 6 * [1.2]
JANUARY_2026 = 12 * 2026
FALL = {"name": "invoice_fall", "history": "invoices", "kind": "fall"}
GAPS = {"name": "invoice_gaps", "history": "invoices", "kind": "gaps"}


def office(season, columns=(FALL,), low=0, encoders=(), **histories):
    stated = {"source": "h.parquet", "ends": "2026-01", **histories}
    series = {"name": "invoices", "low": low, "high": 3000, "season": season}
    return Institution(
        name="tax",
        kind="holder",
        table={"source": "t.csv"},
        dictionary={"id": "id", "columns": list(columns)},
        encoders=list(encoders),
        histories={**{k: v for k, v in stated.items() if v is not None}, "series": [series]},
    )


def rule_of(season, **histories):
    return office(season, **histories).dictionary.columns[0].history


def test_a_calendar_month_is_divided_by_its_index():
    paths = np.array([[8.0, 9.0, 3.0], [np.nan, 1.0, 6.0]])
    found = without_season(paths, {"other": YEAR}, np.full(2, JANUARY_2026))
    np.testing.assert_array_equal(found, [[8.0, 9.0, 2.0], [np.nan, 1.0, 4.0]])
    february = without_season(paths, {"other": YEAR}, np.full(2, JANUARY_2026 + 1))
    np.testing.assert_array_equal(february, [[8.0, 6.0, 6.0], [np.nan, 1 / 1.5, 12.0]])


def test_groups_have_indices_of_their_own_and_others_those_of_all():
    season = {"farming": tuple(FARMS), "other": tuple(YEAR)}
    groups = np.array(["farming", "trade", None], dtype=object)
    ends = np.full(3, JANUARY_2026)
    assert without_season(np.full((3, 1), 12.0), season, ends, groups)[:, 0].tolist() == [12 / 0.8, 8.0, 8.0]


def test_a_season_that_cannot_be_taken_out_is_not_left_in():
    found = without_season(np.ones((2, 6)), {"other": YEAR}, np.array([-1, JANUARY_2026]))
    assert np.isnan(found[0]).all() and not np.isnan(found[1]).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(6, 60), st.integers(0, 11), st.floats(0.1, 1e6))
def test_an_enterprise_that_follows_the_season_has_even_months(months, month, level):
    ends = JANUARY_2026 + month
    calendar = (ends - np.arange(months - 1, -1, -1)) % 12
    path = level * np.array(YEAR)[calendar][None, :]
    found = without_season(path, {"other": YEAR}, np.array([ends]))
    np.testing.assert_allclose(found, level, rtol=1e-12)


def test_earlier_months_of_a_history_have_the_seasons_of_their_own_months():
    """What a column was three months ago is what it is in a history that ends there."""
    level = [{"name": "invoice_level", "history": "invoices", "kind": "level"}]
    now, then = office(YEAR, level, ends="2026-03"), office(YEAR, level, ends="2025-12")
    names = [f"invoices_m{month:02d}" for month in range(1, 19)]
    path = np.exp(np.random.default_rng(1).normal(3, 1, 18))
    later = {name: path[k : k + 1] for k, name in enumerate(names)}
    earlier = {name: path[k : k + 1] for name, k in zip(names[3:], range(15), strict=True)}
    found = now.histories.columns(now.dictionary.computed, later, 1, ago=3)["invoice_level"]
    expected = then.histories.columns(then.dictionary.computed, earlier, 1)["invoice_level"]
    assert found == expected == np.mean(path[12:15])


def test_the_season_is_part_of_the_rule_and_its_meaning():
    plain, seasonal = rule_of(None), rule_of(YEAR)
    assert seasonal.season == {"other": tuple(YEAR)}
    assert plain.digest != seasonal.digest != rule_of(10 * [1.0] + [0.5, 1.5]).digest
    assert "season" not in plain.model_dump()
    # The digest that this rule has always had: models made before seasons go on.
    assert plain.digest == "98bfa2c154278f98cef8de28b0719acafa1aedc842c9a32ece6b7128e77b9fbc"
    (column,) = office(YEAR).dictionary.columns
    assert column.meaning.endswith("logarithm of the ratio, without the season")
    assert column.meaning_zh.endswith("（经季节调整）")
    # What a file states of the column is the same: the season is the series'.
    assert office(YEAR).dictionary.stated()["columns"] == office(None).dictionary.stated()["columns"]


def test_a_level_without_its_season_stays_within_the_bounds_of_the_series():
    level = [{"name": "invoice_level", "history": "invoices", "kind": "level", "months": 1}]
    files = office(YEAR, level, ends="2026-02"), office(None, level)
    values = {f"invoices_m{month:02d}": np.array([2000.0, 100.0]) for month in range(1, 19)}
    found = [one.histories.columns(one.dictionary.computed, values, 2)["invoice_level"] for one in files]
    assert found[0].tolist() == [3000.0, 200.0] and found[1].tolist() == [2000.0, 100.0]


def test_an_encoder_that_names_its_series_need_not_repeat_the_season():
    """It reads months as they are."""
    plain = {"name": "invoices", "low": 0, "high": 3000}
    made = office(YEAR, encoders=[{"name": "months", "series": [plain]}])
    assert made.encoders[0].series[0].season is None
    with pytest.raises(ConfigError, match=r"invoices is not in \[histories\], or not the same there"):
        office(YEAR, encoders=[{"name": "months", "series": [{**plain, "high": 4000}]}])


def test_kinds_that_count_months_have_no_season():
    (column,) = office(YEAR, [GAPS]).dictionary.columns
    assert column.history.season is None and "season" not in column.meaning


def test_the_order_of_groups_does_not_count():
    one = rule_of({"a": YEAR, "b": FARMS, "other": YEAR}, season_column="sector")
    other = rule_of({"other": YEAR, "b": FARMS, "a": YEAR}, season_column="sector")
    assert one.digest == other.digest


@pytest.mark.parametrize(
    ("season", "more", "words"),
    [
        (YEAR[:11], {}, "season has 11 indices, and a year has twelve months"),
        ([100 * x for x in YEAR], {}, "season has a mean of 100, and indices have a mean of 1"),
        ([0.0, 2.0] + 10 * [1.0], {}, "every index is 0.01 or more"),
        ([1e-9] + 11 * [12 / 11], {}, "every index is 0.01 or more"),
        ([10**400] + 11 * [1], {}, "every index is 0.01 or more"),
        ([1.00001] + 11 * [1.0], {}, "more than 4 digits after the point"),
        ({"farming": FARMS, "other": YEAR}, {"season_column": "id"}, "season_column = id holds ids"),
        (
            {"farming": FARMS, "other": YEAR},
            {"season_column": "invoices_m18"},
            "season_column = invoices_m18",
        ),
        (
            {"farming": FARMS, "other": YEAR},
            {"season_column": "day", "ends": None, "ends_column": "day"},
            "season_column = day holds",
        ),
        ([True] * 12, {}, "a list of twelve numbers"),
        ("strong", {}, "season is twelve indices, January first, or a table of such lists by group"),
        ({"farming": FARMS}, {"season_column": "s"}, 'has no indices for "other"'),
        ({"farming": FARMS[:3], "other": YEAR}, {"season_column": "s"}, 'season of "farming" has 3 indices'),
        ({" ": FARMS, "other": YEAR}, {"season_column": "s"}, "a group's name is not empty"),
        (YEAR, {"ends": None}, "season of invoices needs to know which month the last one is"),
        ({"farming": FARMS, "other": YEAR}, {}, "stated by group (farming); write season_column"),
        (YEAR, {"season_column": "sector"}, "season_column is for seasons by group"),
        (YEAR, {"low": -1}, "may be negative (low = -1)"),
        (
            {f"g{k}": YEAR for k in range(64)} | {"other": YEAR},
            {"season_column": "s"},
            "season has 65 groups",
        ),
    ],
)
def test_what_is_refused(season, more, words):
    with pytest.raises(ConfigError) as error:
        office(season, **more)
    assert words in str(error.value)
