"""Reading the scorecard at which a network begins, stating it, and taking its edges over."""

from dataclasses import replace

import numpy as np
import pytest

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import NOTHING
from fedrisk.models.scorecard import FACTOR, Scorecard
from fedrisk.recipes import study_from
from fedrisk.recipes.network.settings import NetworkSettings, asks
from fedrisk.recipes.network.start import curves_on, stated, taken_over
from fedrisk.recipes.network.start_file import look_up, read_start

AGE = Feature(institution="bank", column="age", low=0, high=80)
TAX = Feature(institution="tax", column="sales", low=0, high=1)
BINS = (Bins(AGE, edges=(30.0, 50.0)), Bins(TAX, edges=(0.5,), unknown=True))


def card(**changes):
    made = Scorecard(
        study="first",
        bins=BINS,
        points=((10, 0, -10, 3), (5, -5, 0, 0)),
        base_points=600,
        averages=(1.0, 0.0),
        intercept=-2.0,
        rate=0.1,
        sd=20.0,
        gap=10.0,
        partial_sd={"bank": 10.0, "tax": 5.0},
    )
    return replace(made, **changes)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "scorecard.json"
    path.write_text(card().to_json())
    return path


def study(**network):
    return study_from(
        {
            "name": "n",
            "purpose": "p",
            "recipe": "network",
            "network": network,
            "privacy": {"epsilon": 1.0},
            "institutions": [{"name": "b", "role": "bank"}],
        }
    )


def test_the_curves_of_bank_columns_are_read_by_hand(file):
    known, intercept = read_start(str(file), research=False)
    (curve,) = known.prior.curves
    assert curve.bins == BINS[0] and intercept == -2.0
    np.testing.assert_allclose(curve.shift, np.array([-9.0, 1.0, 11.0, -2.0]) / FACTOR)


def test_what_is_no_sound_scorecard_is_refused(file, tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_start(str(tmp_path / "none.json"), research=False)
    wrong = tmp_path / "wrong.json"
    for text, said in (
        ("{}", "is no scorecard"),
        ("[", "is no scorecard"),
        (card(notice="research").to_json(), "research run"),
        (card(intercept=99.0).to_json(), "no sensible default rate"),
        (card(bins=BINS[1:], points=((5, -5, 0, 0),), averages=(0.0,)).to_json(), "no column of a bank"),
    ):
        wrong.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_start(str(wrong), research=False)
    wrong.write_text(card(notice="research").to_json())
    assert read_start(str(wrong), research=True)[0].prior is not None


def test_edges_are_taken_over_where_the_column_is_the_same(file):
    known, _ = read_start(str(file), research=False)
    other = replace(AGE, high=99.0)
    same, moved = taken_over([AGE, other], known)
    assert same.bins == (30.0, 50.0) and moved.bins is None
    assert taken_over([AGE], NOTHING) == (AGE,)
    assert curves_on(BINS[:1], NOTHING) == (None,)


def test_a_study_with_a_start_multiplies_columns_unless_it_says_otherwise():
    assert study(start="card.json").settings["kind"] == "products"
    assert study(start="card.json", kind="logistic").settings["kind"] == "logistic"
    assert study().settings["kind"] == "mlp"


def test_studies_without_a_start_keep_their_digest():
    assert set(study().settings) == {"kind", "hidden", "blocks", "external"}


def test_the_hub_states_what_it_read_and_finds_it_again(file, tmp_path):
    from fedrisk.server import knowledge
    from fedrisk.server.hub import Hub

    hub = Hub(tmp_path / "hub")
    found = look_up(study(start=str(file)), hub, False)
    known = NetworkSettings.of(found.study).known
    assert known == stated(found.knowledge, -2.0)
    assert found.study.as_asked.settings == study(start=str(file)).settings
    assert known.digest in "".join(asks(found.study)) and asks(study()) == ()
    knowledge.keep(hub, found.knowledge)
    file.unlink()
    again = look_up(found.study, hub, False)
    assert again.knowledge == found.knowledge and again.study == found.study
    assert look_up(study(), hub, False).knowledge == NOTHING


def test_known_goes_with_a_start_alone():
    with pytest.raises(ConfigError, match="none is named"):
        study(known={"digest": "0" * 64, "source": "s", "intercept": 0.0})
