"""A province that moves on, on the disk: it goes on as if written at once, and no month's table knows what comes."""

import json

import numpy as np
import pandas as pd
import pytest

from fedrisk.alignment.ids import normalise
from fedrisk.institution import load_institution
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.study_file import load_study
from sim_institutions.__main__ import main
from support import moving_province
from support.moving_province import MONTHS, read

BANKS = ("city_bank", "rural_bank", "quick_bank")
LABELS = {"late_90_days": 12, "distress": 3, "late_30_days": 3}


@pytest.fixture(scope="module")
def province(tmp_path_factory):
    """Two months, and then two more."""
    out = moving_province.write(tmp_path_factory.mktemp("moving"), MONTHS - 2)
    main(["advance", str(out), "--months", "2", "--workers", "1"])
    return out


def active(province, month, bank):
    table = read(province, month, "data", bank)
    return set(normalise(table["uscc"][table["active"] == 1].tolist(), "uscc")[0]) - {""}


def test_going_on_gives_the_bytes_of_writing_at_once(province):
    whole = moving_province.at_hand()
    names = {str(p.relative_to(whole)) for p in whole.rglob("*") if p.is_file()}
    assert names == {str(p.relative_to(province)) for p in province.rglob("*") if p.is_file()}
    assert [n for n in names if (whole / n).read_bytes() != (province / n).read_bytes()] == []


def test_the_calendar_names_the_months(province):
    months = json.loads((province / "months.json").read_text())
    assert months == {
        "development": "2024-12",
        "m01": "2025-12",
        "m02": "2026-01",
        "m03": "2026-02",
        "m04": "2026-03",
    }


def test_labels_are_known_of_the_development_month_alone(province):
    before = {bank: read(province, "development", "data", bank) for bank in BANKS}
    # 1,200 loans: a standard error of .7 %.
    assert pd.concat(before.values())["late_90_days"].mean() == pytest.approx(0.06, abs=0.035)
    for bank, past in before.items():
        # Only what fell due before has none.
        assert past["active"].eq(0).equals(past[list(LABELS)].isna().all(axis=1))
        for month in range(1, MONTHS + 1):
            table = read(province, f"m{month:02d}", "data", bank)
            assert table[list(LABELS)].isna().all(axis=None)
            assert 0.95 < table["active"].mean() < 1


def test_each_loan_gets_one_outcome_of_a_label_when_its_months_are_over(province):
    for bank in BANKS:
        known = pd.concat([read(province, f"m{k:02d}", "outcomes", bank) for k in range(1, MONTHS + 1)])
        assert not known.duplicated(["id", "month", "label"]).any()
        first = known[known["month"] == "2025-12"]
        for label in ("distress", "late_30_days"):
            of = first[first["label"] == label]
            # Mistyped ids are not in the set read from the table.
            assert len(active(province, "m01", bank) - set(of["id"])) == 0
            assert 0.005 < of["outcome"].mean() < 0.08
        # Within three months only bad news of a year is known.
        assert (first["outcome"][first["label"] == "late_90_days"] == 1).all()


def test_a_loan_known_to_be_late_fell_due_in_that_month(province):
    for bank in BANKS:
        for month in range(2, MONTHS + 1):
            known = read(province, f"m{month:02d}", "outcomes", bank)
            late = set(known["id"][(known["label"] == "late_90_days") & (known["outcome"] == 1)])
            table = read(province, f"m{month:02d}", "data", bank)
            ids = np.array(normalise(table["uscc"].tolist(), "uscc")[0])
            fell = set(ids[table["defaulted"] == 1]) - {""}
            new = fell & set.union(*(active(province, f"m{k:02d}", bank) for k in range(1, month)))
            assert new <= late
            assert not late & active(province, f"m{month:02d}", bank)


def test_the_workout_finds_the_planted_distress(province):
    truth = read(province, "truth", "m01").set_index("id")
    known = pd.concat([read(province, f"m{k:02d}", "outcomes", "city_bank") for k in range(1, MONTHS + 1)])
    of = known[(known["month"] == "2025-12") & (known["label"] == "distress")].set_index("id")
    assert (truth.loc[of.index, "distress"] == of["outcome"]).all()
    months = truth["course_months"][truth["distress"]]
    assert months.between(2, 8).all()
    began = truth["distress_began"]
    assert (truth.loc[began, "course_months"] == 0).all() and began.any()


def test_applicants_become_borrowers(province):
    for bank in BANKS:
        asked = read(province, "m03", "applications", bank)
        granted = set(asked["id"][asked["granted"]])
        before, after = (active(province, month, bank) for month in ("m02", "m03"))
        # A few ended in the month and were granted anew.
        assert len(granted - before) > 0.7 * len(granted) > 2
        # Loans end, and mistyped ids are in no set.
        assert len(after - before - granted) == 0
        assert 0 < len(before - after) < 0.06 * len(before)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """The same without a shift, with longer histories."""
    return moving_province.write(tmp_path_factory.mktemp("quiet"), 3, "--history-months", "30", shift=None)


def test_a_planted_shift_moves_one_column_from_its_month_on(province, quiet):
    for month in ("m02", "m03"):
        one, other = (read(out, month, "data", "tax_office") for out in (province, quiet))
        # Growth on the first months of a history, which a filing of the month before may have made up for.
        moved = [c for c in one if not one[c].equals(other[c]) and c != "invoice_growth"]
        assert moved == (["invoice_amount"] if month == "m03" else [])
    size = np.log1p(one["invoice_amount"]) - np.log1p(other["invoice_amount"])
    assert size.median() == pytest.approx(np.log1p(other["invoice_amount"]).std(), rel=0.15)
    assert json.loads((province / "truth.json").read_text())["shifts"] == [
        {"owner": "tax_office", "column": "invoice_amount", "month": 3, "size": 1.0}
    ]


def test_institutions_and_studies_can_be_read(province, monkeypatch):
    monkeypatch.setenv("MONTH", "development")
    for name in (*BANKS, "tax_office", "power_utility", "social_insurance"):
        institution = load_institution(province / "institutions" / f"{name}.toml")
        table = institution.read()
        assert len(table) > 300
        if name in BANKS:
            labels = [one.name for one in institution.dictionary.labels]
            assert labels == ["default", "distress", "late_30_days", "strained"]
            assert 0.3 < read(province, "m01", "data", name)["strained"].mean() < 0.7
        else:
            assert {"lasting_fall", "yearly_fall"} <= {
                c.history.kind for c in institution.dictionary.columns if c.history
            }
    assert load_study(province / "warning.toml").label == "distress"
    for name in ("study", "losses"):
        load_study(province / f"{name}.toml")
    health = load_study(province / "health.toml")
    columns = ScorecardSettings.of(health)
    assert (health.label, columns.index) == ("strained", "all")
    assert "tax_office.invoices_fall" in columns.left_out
    assert (
        "tax_office.invoice_density_level"
        in ScorecardSettings.of(load_study(province / "warning.toml")).left_out
    )


def test_longer_histories_end_with_the_usual_ones(province, quiet):
    usual, long = (read(one, "m01", "histories", "power_utility") for one in (province, quiet))
    assert usual["uscc"].equals(long["uscc"])
    assert str(long["ends"].iloc[0]) == "2025-12-31"
    shared = long[[f"load_m{k:02d}" for k in range(13, 31)]].to_numpy()
    np.testing.assert_array_equal(shared[:, 1:], usual[[f"load_m{k:02d}" for k in range(2, 19)]].to_numpy())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--months", "0"], "give 1 to 60"),
        (["--months", "2", "--quarters", "2"], "give one of them"),
        (["--months", "2", "--history-months", "12"], "give 18 to 36"),
        (["--months", "2", "--shift", "tax_office:m1"], "for example tax_office.invoice_amount:m07:0.5"),
        (["--months", "2", "--shift", "tax.sector:m1:1"], "no institution tax"),
        (["--months", "2", "--shift", "court.x:m1:1"], "no institution court"),
        (["--months", "2", "--shift", "bank.limit:m1:1"], "bank has no column limit; it has credit_limit"),
    ],
)
def test_wrong_options_are_refused(capsys, tmp_path, words, said):
    with pytest.raises(SystemExit):
        main(["--enterprises", "1000", "--out", str(tmp_path), *words])
    assert said in capsys.readouterr().err


def test_a_folder_that_is_no_province_cannot_go_on(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["advance", str(tmp_path), "--months", "2"])
    assert "give a folder that --months has written" in capsys.readouterr().err
