"""A series on the disk: every quarter can be read and studied, histories go on, and the truth is that of the tables."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from fedrisk.alignment.ids import normalise
from fedrisk.institution import load_institution
from fedrisk.study_file import load_study
from sim_institutions.__main__ import main
from sim_institutions.geography import COUNTIES
from sim_institutions.random_streams import MONTHS
from sim_institutions.statistics_files import INDICATORS
from support.simulation import check_tables

QUARTERS = 3
MEMBERS = ("city_bank", "rural_bank", "quick_bank", "tax_office", "power_utility", "social_insurance")


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    out = tmp_path_factory.mktemp("series")
    file = out / "shocks.toml"
    file.write_text('[[shocks]]\nquarter = 3\ncounty = "p01c01"\n', encoding="utf-8")
    options = {"enterprises": 2500, "quarters": QUARTERS, "shocks": file, "out": out, "workers": 1}
    main([word for name, value in options.items() for word in (f"--{name}", str(value))])
    return out


def frame(series, quarter, name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUARTER", f"q{quarter}")
        table = load_institution(series / "institutions" / f"{name}.toml").read()
    return table.frame.set_axis(table.ids, axis=0)


def test_every_quarter_can_be_read_through_the_same_files(series, monkeypatch):
    for quarter in range(1, QUARTERS + 1):
        monkeypatch.setenv("QUARTER", f"q{quarter}")
        check_tables(series, series / f"q{quarter}" / "study.toml", noted=("uscc", "late_90_days"))
        assert load_study(series / f"q{quarter}" / "study.toml").name == f"demo_q{quarter}"


def test_most_enterprises_are_there_again_and_keep_who_they_are(series):
    for name in MEMBERS:
        first, last = frame(series, 1, name), frame(series, QUARTERS, name)
        both = first.index.intersection(last.index)
        assert len(both) > (0.75 if "bank" in name else 0.93) * len(first)
        assert len(last.index.difference(first.index)) > 10
        known = first.loc[both, "county"].notna() & last.loc[both, "county"].notna()
        assert (
            first.loc[both, "county"][known].astype(str) == last.loc[both, "county"][known].astype(str)
        ).all()


def history(series, quarter, name, one):
    table = pq.read_table(series / f"q{quarter}" / "histories" / f"{name}.parquet").to_pandas()
    ids = normalise(table["uscc"].tolist(), "uscc")[0]
    columns = [f"{one}_m{month:02d}" for month in range(1, MONTHS + 1)]
    return pd.DataFrame(table[columns].to_numpy(), index=ids)[ids != ""]


@pytest.mark.parametrize(
    ("name", "one"), [("tax_office", "invoices"), ("power_utility", "load"), ("city_bank", "turnover")]
)
def test_histories_go_on_from_quarter_to_quarter(series, name, one):
    before, after = history(series, 1, name, one), history(series, 2, name, one)
    both = before.index.intersection(after.index)
    assert len(both) > 700
    # The first month of a window lacks what was carried over from the month before it.
    x, y = before.loc[both].to_numpy()[:, 4:-1], after.loc[both].to_numpy()[:, 1:-4]
    known = ~np.isnan(x) & ~np.isnan(y)
    assert known.mean() > 0.9
    # Whether a filing is missing goes with how an enterprise fares now, so a few months are written anew.
    assert (x[known] == y[known]).mean() > (0.997 if name == "tax_office" else 0.9999)


def test_what_is_founded_has_no_history_before_and_no_growth(series):
    before, after = frame(series, 2, "tax_office"), frame(series, 3, "tax_office")
    path = history(series, 3, "tax_office", "invoices")
    born = path.index[path.iloc[:, :15].isna().all(axis=1)]
    assert 5 < len(born) < 60
    assert not set(born) & set(before.index)
    assert after.loc[born, ["invoice_growth", "invoice_growth_quarter"]].isna().all(axis=None)


def test_a_loan_that_fell_due_is_written_off_and_has_no_label(series):
    first = pq.read_table(series / "q1" / "data" / "city_bank.parquet").to_pandas()
    fell = first["defaulted"] == 1
    assert fell.sum() > 5
    assert first["late_90_days"].isna().equals(fell)
    assert (first["matured_loss"] > 0).equals(fell)
    ids = first["uscc"][fell]
    assert not set(ids) & set(pq.read_table(series / "q2" / "data" / "city_bank.parquet")["uscc"].to_pylist())


def test_the_truth_is_that_of_the_tables(series):
    truth = pq.read_table(series / "truth.parquet").to_pandas()
    # Mistyped ids are left out where a table is read, so the table itself is counted here.
    table = pq.read_table(series / "q2" / "data" / "power_utility.parquet").to_pandas()
    mine = truth[
        (truth["quarter"] == 2) & (truth["owner"] == "power_utility") & (truth["column"] == "load_growth")
    ]
    assert mine["rows"].sum() == len(table)
    by = [table[c].astype(object).fillna("(unknown)") for c in ("county", "sector")]
    exact = table["load_growth"].clip(-1, 5).groupby(by).agg(["count", "sum"])
    found = mine.set_index(["county", "sector"]).loc[exact.index]
    assert np.array_equal(found["known"], exact["count"])
    np.testing.assert_allclose(found["sum"], exact["sum"], rtol=1e-4, atol=1e-4)


def test_the_file_of_truths_names_shocks_and_shows_health_fall_first(series):
    truth = json.loads((series / "truth.json").read_text(encoding="utf-8"))
    assert [q["name"] for q in truth["quarters"]] == ["2025Q2", "2025Q3", "2025Q4"]
    (shock,) = truth["shocks"]
    assert (shock["quarter"], shock["county"]) == (3, "p01c01")
    cells = pd.DataFrame(truth["cells"])
    assert len(cells) == QUARTERS * 400
    hit = cells[cells["county"] == "p01c01"]
    health = [np.average(part["health"], weights=part["enterprises"]) for _, part in hit.groupby("quarter")]
    assert health[2] < min(health[:2]) - 0.15
    assert cells.groupby("quarter")["borrowers"].sum().between(2000, 2400).all()


def test_studies_of_statistics_name_columns_that_policies_open(series):
    for quarter in range(1, QUARTERS + 1):
        for file in sorted((series / f"q{quarter}").glob("*.toml")):
            study = load_study(file)
            for member in study.members:
                institution = load_institution(series / "institutions" / f"{member}.toml")
                assert study.recipe in institution.policy.recipes
                assert set(institution.policy.statistics) == {c.name for c in institution.dictionary.columns}
    owners = {"bank": "city_bank"}
    for one in INDICATORS:
        name = owners.get(one.owner, one.owner)
        dictionary = load_institution(series / "institutions" / f"{name}.toml").dictionary
        column = dictionary.column(one.column)
        assert column.low <= one.low < one.high <= column.high


def test_the_map_lies_beside_the_quarters(series):
    features = json.loads((series / "counties.geojson").read_text(encoding="utf-8"))["features"]
    assert [f["properties"]["county"] for f in features] == list(COUNTIES)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--quarters", "0"], "give 1 to 40"),
        (["--quarters", "4", "--shocks", "nowhere.toml"], "usual, none, a number"),
    ],
)
def test_wrong_options_are_refused(capsys, tmp_path, more, said):
    with pytest.raises(SystemExit):
        main(["--enterprises", "1000", "--out", str(tmp_path), *more])
    assert said in capsys.readouterr().err
