"""Sections of a scorecard's report: features with their courses, and directions that a further study could state."""

from types import SimpleNamespace

import pytest

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.summary import summarise
from fedrisk.report.words import cell


def card(errors):
    """A column that turns, one that runs one way, the same with a direction that it is against, and a category."""
    open_number = {"institution": "tax", "low": 0, "high": 4, "missing": False}
    features = [
        Feature(column="turns", **open_number),
        Feature(column="runs", **open_number),
        Feature(column="against", direction="decreasing", **open_number),
    ]
    bins = [Bins(f, (1.0, 2.0, 3.0)) for f in features]
    form = Feature(institution="tax", column="form", kind="category", bins=("a", "b", "c"), missing=False)
    return Scorecard(
        study="s",
        bins=(*bins, Bins.public(form)),
        points=((9, -3, 6, 2), (9, 5, 0, -2), (9, 5, 0, -1), (1, 2, 0, 0)),
        base_points=500,
        averages=(0.0,) * 4,
        intercept=-2.0,
        rate=0.1,
        sd=20.0,
        gap=10.0,
        partial_sd={"tax": 20.0},
        errors=errors,
    )


def test_features_and_proposals_by_hand():
    features, proposals = summarise(SimpleNamespace(card=card(((1.0, 1.0, 1.0, 1.0),) * 4)))
    assert features.code == "features"
    codes = {row[0]: None if row[5] is None else row[5].code for row in features.rows}
    assert list(codes) == ["tax.turns", "tax.runs", "tax.against", "tax.form"]  # by the span of points
    assert [*codes.values()] == ["curve_turns", "curve_one_way", "curve_other_way", None]
    assert features.rows[0][1:5] == (4, -3, 9, 1.0)
    assert [(row[0], cell(row[1])) for row in proposals.rows] == [
        ("tax.runs", 'direction = "increasing", if the meaning of the column agrees')
    ]


def test_the_error_of_a_feature_is_the_root_of_the_mean_square():
    errors = ((1.0, 1.0, 1.0, 7.0), *((1.0,) * 4,) * 3)
    (features, _) = summarise(SimpleNamespace(card=card(errors)))
    assert features.rows[0][4] == pytest.approx(13**0.5, abs=0.05)


def test_cards_without_errors_say_nothing_of_turns():
    (features,) = summarise(SimpleNamespace(card=card(None)))
    assert all(row[4:] == (None, None) for row in features.rows)
    assert summarise(SimpleNamespace(card=None)) == ()
