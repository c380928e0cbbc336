"""A bank's own models that hear the holders' points by theme."""

import io
import json

import numpy as np
import pytest

from fedrisk.data.features import Feature
from fedrisk.errors import DataError
from fedrisk.models.binning import Bins
from fedrisk.models.own_model import OwnModel, Said
from fedrisk.models.personal import LinearModel
from fedrisk.models.scorecard import FACTOR, Scorecard


def card():
    """One column of the bank, one of each of two holders, with points 0 and 20."""
    bins = [
        Bins.public(Feature(institution=i, column="late", kind="flag", missing=False))
        for i in ("bank", "power", "tax")
    ]
    points, averages = ((0, 20),) * 3, (10.0, 10.0, 10.0)
    spread = dict.fromkeys(("bank", "power", "tax"), 10.0)
    return Scorecard("s", tuple(bins), points, 570, averages, -3.4, 0.03, 17.0, 10.0, spread)


CODES = [np.array([0, 1, 1])]
THEMES = {"power": np.array([0, 20, 20]), "tax": np.array([20, 20, 0])}
WHOLE = np.array([20, 40, 20])


def test_what_a_card_says_by_theme():
    said = Said.of(card(), CODES, WHOLE, THEMES)
    assert np.allclose(said.curves * FACTOR, [[10, 0, -20], [-10, -20, -20], [-10, -20, 0]])
    told = said.told(beside_holders=True)
    assert np.allclose(told * FACTOR, [[0, 0, -20], [-20, -20, -20], [0, -20, 0]])
    # The log-odds are those of the sum: themes add nothing to the card itself.
    one = Said.of(card(), CODES, WHOLE)
    assert np.array_equal(said.log_odds, one.log_odds)
    assert np.array_equal(one.told(beside_holders=True), one.curves[:, -1])


def linear():
    return LinearModel(-3.0, np.array([0.5, 0.25, 2.0]), np.array([0.5, 0.75, 0.0]))


def test_a_model_of_themes_is_kept_and_applied():
    model = OwnModel({"near": linear()}, {"personal": {"near": 1.0}}, "personal", True, ("power", "tax"))
    again = OwnModel.from_bytes(model.to_bytes())
    assert again.themes == ("power", "tax")
    said = Said.of(card(), CODES, WHOLE, THEMES)
    expected = 1 / (1 + np.exp(3.0 - said.curves @ [1.0, 1.0, 2.0]))
    # Themes go by their names, whatever their order.
    backward = dict(reversed(list(THEMES.items())))
    for found in (model, again):
        assert np.allclose(found.probability(card(), {}, CODES, WHOLE, backward)["personal"], expected)


@pytest.mark.parametrize("given", [None, {"tax": WHOLE}, {**THEMES, "rest": WHOLE}])
def test_other_themes_are_refused(given):
    model = OwnModel({"near": linear()}, {"personal": {"near": 1.0}}, "personal", True, ("power", "tax"))
    with pytest.raises(DataError, match="the same themes"):
        model.probability(card(), {}, CODES, WHOLE, given)


def test_models_without_themes_are_of_the_format_that_all_versions_read():
    for themes, number in (((), 1), (("power", "tax"), 2)):
        raw = OwnModel({"near": linear()}, {}, None, True, themes).to_bytes()
        with np.load(io.BytesIO(raw)) as file:
            assert json.loads(file["about"].tobytes())["format"] == number
