"""The figures of a watched month, gathered from what the bank keeps."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fedrisk.errors import DataError
from fedrisk.institution import load_institution
from fedrisk.watching import figures
from fedrisk.watching.development import Development
from fedrisk.watching.drift_counts import scored
from fedrisk.watching.figures import month_figures
from fedrisk.watching.history import Kept
from fedrisk.watching.losses import month_losses
from support import watched_year

BANK = """
name = "city_bank"
kind = "bank"
table = { source = "table.csv" }
watch = { exposure = "owed", loss_given_default = "lost" }
[dictionary]
id = "id"
id_scheme = "opaque"
[[dictionary.columns]]
name = "owed"
kind = "number"
low = 0
high = 1000
meaning = "outstanding"
[[dictionary.columns]]
name = "lost"
kind = "number"
low = 0
high = 1
meaning = "share lost"
[dictionary.label]
column = "late"
positive = [1]
negative = [0]
horizon = "12 months"
meaning = "90 days late"
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A year and a month, in whose last month limit_use moved."""
    folder = tmp_path_factory.mktemp("watch") / "loans"
    return watched_year.year(folder, loans=500, shift=("limit_use", 12, 0.8), gone=0.02)


@pytest.fixture(scope="module")
def found(kept):
    """Figures of the last month."""
    return month_figures(watched_year.node(), kept, kept.months()[-1])


def test_the_change_is_named_in_its_month_alone(found):
    alarms = {m: {d.name for d in each if "month" in d.alarms} for m, each in found.drift.items()}
    assert "limit_use" in alarms.pop("2026-06")
    assert not any(alarms.values()) and len(alarms) == 12
    assert {"days_late", "debt_to_assets", "turnover"}.isdisjoint(d.name for d in found.drifted)


def test_loans_of_a_month_add_up(found):
    risk, moved = found.risk, found.migrations
    assert risk.loans == 500 and risk.scored + found.unscored.counts["own_row"] == 500
    assert sum(risk.grades) == risk.scored == moved.moved.sum() + sum(moved.new)
    assert len(found.course) == 13 and moved.since == "2026-05"
    assert moved.worse > moved.better


def test_the_back_test_is_of_the_newest_month_that_is_matured(found):
    assert [c.matured for c in found.cohorts].index(False) == 5
    assert found.back_test.cohort.month == "2025-10" == found.cohorts[4].month
    assert found.back_test.cohort.known == found.back_test.cohort.loans
    assert found.contest.month == "2025-10" and found.agreement.month == "2026-06"


def test_without_anything_of_the_study_the_released_shares_or_the_first_month_stand_in(found):
    assert found.development == {
        "score": "first_month",
        "grade": "first_month",
        "limit_use": "released",
        "days_late": "released",
        "debt_to_assets": "released",
        "turnover": "first_month",
    }


def test_own_training_rows_come_first(kept, monkeypatch):
    rng = np.random.default_rng(1)
    own = Development(
        score=rng.normal(620, 40, 900),
        probability=rng.uniform(0.01, 0.1, 900),
        points={"limit_use": rng.choice([-20.0, 5.0, 30.0], 900, p=[0.2, 0.5, 0.3])},
    )
    bins = [watched_year.bins(c) for c in watched_year.COLUMNS]
    card = SimpleNamespace(bins=bins, points=[[-20, 5, 5, 5, 30, 5, 5], *[[0] * b.size for b in bins[1:]]])
    models = SimpleNamespace(
        has=lambda _: True, part=lambda _: SimpleNamespace(card="{}", calibrated=None, label="distress")
    )
    monkeypatch.setattr(figures, "development", lambda _node, _part: own)
    monkeypatch.setattr(figures.Scorecard, "from_json", lambda _text: card)
    labels = [SimpleNamespace(name="distress", horizon="6 months", meaning="in trouble", meaning_zh="")]
    bank = SimpleNamespace(watch=None, dictionary=SimpleNamespace(labels=labels))
    node = SimpleNamespace(name="city_bank", institution=bank, store=SimpleNamespace(models=models))
    found = month_figures(node, kept, kept.months()[1])
    assert found.label == {k: str(v) for k, v in vars(labels[0]).items()}
    assert found.development["score"] == found.development["limit_use"] == "own_rows"
    limit = next(d for d in found.drift["2025-07"] if d.name == "limit_use")
    # Three levels of points make three groups of bins.
    assert limit.by_development.bins == 3
    assert found.development["days_late"] == "released"


def test_what_follows_later_changes_nothing_of_a_month(kept, tmp_path):
    earlier = kept.months()[4]
    shutil.copytree(kept.folder, tmp_path / "loans")
    alone = Kept(tmp_path / "loans")
    for month in kept.months()[5:]:
        for file in alone.folder.glob(f"*/{month}.*"):
            file.unlink()
    now, then = (month_figures(watched_year.node(), k, earlier).to_dict() for k in (kept, alone))
    for part in ("course", "migrations", "drift", "development"):
        assert now[part] == then[part]


def test_all_figures_are_json(found):
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert said["schema"] == "fedrisk.watch_month" and said["month"] == "2026-06"


def test_expected_losses_are_those_of_the_months_own_table(tmp_path):
    """Each month's table is gone with the next: sums are kept when the page is first written."""
    here = watched_year.year(tmp_path / "loans", loans=50, months=2, outcomes=False, challenger=False)
    month = here.months()[-1]
    ids = here.read_month(month, ["id"])["id"].to_pylist()
    pd.DataFrame({"id": ids, "owed": 100.0, "lost": 0.5, "late": 0}).to_csv(
        tmp_path / "table.csv", index=False
    )
    (tmp_path / "bank.toml").write_text(BANK, encoding="utf-8")
    bank = load_institution(tmp_path / "bank.toml")
    node = SimpleNamespace(**{**vars(watched_year.node()), "institution": bank})
    found = month_figures(node, here, month).risk
    assert found.exposure == 100 * found.scored
    assert found.loss == pytest.approx(50 * found.probability * found.scored)
    (tmp_path / "table.csv").unlink()
    assert month_figures(node, here, month).risk == found


def test_development_is_read_by_the_card_that_scored_it(monkeypatch):
    # Rows of the study stand in the store with the calibrated card's points; by the other card's, quiet columns "move".
    monkeypatch.setattr(figures.Scorecard, "from_json", staticmethod(str.upper))
    both = SimpleNamespace(card="released", calibrated="calibrated")
    assert figures.card_of_rows(both) == "CALIBRATED"
    assert figures.card_of_rows(SimpleNamespace(card="released", calibrated=None)) == "RELEASED"
    assert figures.card_of_rows(SimpleNamespace(card=None, calibrated=None)) is None


def test_losses_are_of_all_active_rows_of_an_enterprise(tmp_path):
    here = watched_year.year(tmp_path / "loans", loans=50, months=2, outcomes=False, challenger=False)
    ids = here.read_month(here.months()[-1], ["id"])["id"].to_pylist()
    rows = scored(here, here.months()[-1], "scores")
    ended = pd.DataFrame({"id": ids, "owed": 900.0, "lost": 1.0, "late": 0, "active": 0})
    first = pd.DataFrame({"id": ids, "owed": 100.0, "lost": 0.5, "late": 0, "active": 1})
    first.loc[first.index[20:23], "owed"] = np.nan
    first.loc[first.index[30], "lost"] = np.nan
    second = first[:10].assign(owed=300.0, lost=0.25)
    pd.concat([ended, first, second]).to_csv(tmp_path / "table.csv", index=False)
    file = tmp_path / "bank.toml"
    file.write_text(BANK.replace("watch = {", 'watch = { active = "active",'), encoding="utf-8")
    node = SimpleNamespace(**{**vars(watched_year.node()), "institution": load_institution(file)})
    found = month_losses(node, here, here.months()[-1], rows)
    # What is missing counts as 0, and how much is missing is told.
    assert (found.rows, found.no_exposure, found.no_share) == (60, 3, 1)
    assert found.exposure == 47 * 100 + 10 * 300
    twice, missing = (
        rows["probability"].reindex(np.array(ids)[k]).sum() for k in (slice(10), [20, 21, 22, 30])
    )
    assert found.loss == pytest.approx(50 * (rows["probability"].sum() - missing) + 75 * twice)
    for column, value, said in (("lost", 45.0, "write shares"), ("owed", -1.0, "below 0")):
        shutil.rmtree(here.folder / "losses", ignore_errors=True)
        first.assign(**{column: value}).to_csv(tmp_path / "table.csv", index=False)
        with pytest.raises(DataError, match=said):
            month_losses(node, here, here.months()[-1], rows)
