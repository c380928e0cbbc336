"""Months without a planted change stay as they are, a planted one is found, and no column knows what comes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fedrisk.alignment.ids import normalise
from sim_institutions.stability import drifts, main
from support.moving_province import MONTHS, at_hand, read

FOLDERS = [f"m{k:02d}" for k in range(1, MONTHS + 1)]


@pytest.fixture(scope="module")
def found():
    """By institution and column."""
    return {(one.institution, one.column): one for one in drifts(at_hand())}


def test_a_planted_shift_is_the_largest_drift_from_its_month_on(found):
    planted = found["tax_office", "invoice_amount"]
    assert planted is max(found.values(), key=lambda one: one.beyond)
    quiet, shifted = (max(planted.index[m] for m in months) for months in (FOLDERS[:2], FOLDERS[2:]))
    assert shifted > 20 * planted.chance > 4 * quiet


def test_nothing_else_drifts(found):
    """Of about 110 columns and four months of much the same enterprises; the limits are five times what is usual."""
    beyond = [one.beyond for place, one in found.items() if place != ("tax_office", "invoice_amount")]
    assert len(beyond) > 100
    assert np.median(beyond) < 2 and max(beyond) < 20


def test_rates_stay_at_those_of_the_profile():
    """600 to 1,200 rows a month: a standard error of .7 %, and the same enterprises in all months."""
    for month in ("development", *FOLDERS):
        truth = read(at_hand(), "truth", month)
        loans = truth[truth.filter(like="loan_").any(axis=1)]
        assert truth["distress"].mean() == pytest.approx(0.047, abs=0.025), month
        assert loans["late_within_a_year"].mean() == pytest.approx(0.06, abs=0.03), month
        assert len(truth) == pytest.approx(1200, abs=36), month


def test_no_column_of_a_month_gives_away_what_becomes_known_later():
    """The best columns reach an AUC of .85 for what comes within three months; the truth itself reaches .93."""
    tables, late = [], []
    for bank in ("city_bank", "rural_bank", "quick_bank"):
        table = read(at_hand(), "m01", "data", bank)
        known = pd.concat([read(at_hand(), m, "outcomes", bank) for m in FOLDERS[1:]])
        known = known[
            (known["month"] == "2025-12") & (known["outcome"] == 1) & (known["label"] != "distress")
        ]
        table = table[table["active"] == 1]
        ids = np.array(normalise(table["uscc"].tolist(), "uscc")[0])
        tables.append(table)
        late.append(np.isin(ids, known["id"].to_numpy(dtype=str)))
    whole, event = pd.concat(tables), np.concatenate(late)
    assert event.sum() > 20
    for name in whole.columns.drop(["uscc", "late_90_days", "distress", "late_30_days"]):
        column = whole[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.codes
        values = column.astype(float)
        for x in (values.fillna(values.median()), values.isna()):
            area = roc_auc_score(event, x)
            assert 0.05 < area < 0.95, name


def test_the_table_is_printed(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["stability", str(at_hand()), "--columns", "1"])
    main()
    said = capsys.readouterr().out
    assert "| tax_office | invoice_amount |" in said and "times chance" in said
