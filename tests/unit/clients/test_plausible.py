"""What an institution's own people are asked about their table, and what they are not."""

import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients.label_rate import Labels
from fedrisk.clients.plausible import column_findings, label_findings
from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.features import features_of


class Rows:
    def __init__(self, **columns):
        self.frame = pd.DataFrame(columns)


def asked(values, **column):
    described = load_dictionary({"id": "id", "columns": [{"name": "x", "meaning": "m", **column}]})
    found = column_findings(Rows(x=values), described.columns, features_of(described, "bank"))
    return [f.code for f in found]


RNG = np.random.default_rng(1)
NUMBER = {"kind": "number", "low": 0, "high": 1000}


@pytest.mark.parametrize(
    ("values", "column", "codes"),
    [
        (RNG.uniform(0, 1000, 500), NUMBER, []),
        # An amount in thousands where the bounds are in yuan; the same on a log grid is much wider.
        (RNG.uniform(0, 20, 500), NUMBER, ["bounds_wide"]),
        (np.exp(RNG.normal(3, 1.5, 500)), {**NUMBER, "grid": "log"}, []),
        (np.full(500, 7.0), NUMBER, ["column_constant"]),
        (np.r_[np.full(5, 7.0), np.full(995, np.nan)], NUMBER, ["column_nearly_empty", "column_constant"]),
        (np.full(500, np.nan), NUMBER, []),
        # Codes among quantities: nines above everything else, one negative number below.
        (np.r_[RNG.integers(18, 80, 500).astype(float), [999.0] * 3], NUMBER, ["code_inside", "bounds_wide"]),
        (np.r_[RNG.uniform(0, 900, 500), [-1.0] * 4], {**NUMBER, "low": -1}, ["code_inside"]),
        (np.r_[RNG.uniform(-500, 900, 500), [-1.0] * 4], {**NUMBER, "low": -500}, []),
        (np.r_[RNG.uniform(0, 990, 500), [999.0] * 3], NUMBER, []),
        (np.r_[RNG.uniform(0, 900, 500), [-1.0] * 4], {**NUMBER, "low": -1, "special": {"-1": "none"}}, []),
        (RNG.uniform(0, 5, 2000), {**NUMBER, "bins": [10, 100]}, ["column_one_bin"]),
        (RNG.uniform(0, 200, 2000), {**NUMBER, "bins": [10, 100]}, []),
        (["A"] * 5000 + ["B"], {"kind": "category", "categories": ["A", "B"]}, ["column_one_bin"]),
        (["A"] * 500, {"kind": "category", "categories": ["A", "B"]}, ["column_constant"]),
        (np.r_[np.zeros(480), np.ones(20)], {"kind": "flag"}, []),
    ],
)
def test_columns(values, column, codes):
    assert asked(values, **column) == codes


def test_a_column_that_no_study_uses_is_not_asked_about():
    assert asked(np.full(50, 7.0), **NUMBER, feature=False) == []


@pytest.mark.parametrize(
    ("positive", "declared", "codes"),
    [
        (120, 0.12, []),
        (880, None, ["labels_mostly_positive"]),
        (880, 0.12, []),  # refused: clients/label_rate
        (400, 0.12, ["labels_not_as_declared"]),
        (60, 0.3, ["labels_not_as_declared"]),
        (20, 0.02, ["labels_few"]),
        (550, 0.45, []),
    ],
)
def test_labels(positive, declared, codes):
    found = [f.code for f in label_findings(Labels(labelled=1000, positive=positive), declared)]
    assert found == codes


def test_no_label_at_all_has_no_rate():
    assert math.isnan(Labels(labelled=0, positive=0.0).rate)
