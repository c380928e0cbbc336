"""A whole study whose bank is given the holders' points by theme: what it gets, keeps, is told and is served."""

from dataclasses import replace

import numpy as np
import pytest

from fedrisk.models.binning import Bins
from fedrisk.models.given_points import GivenPoints
from fedrisk.models.own_model import FILE, OwnModel
from fedrisk.models.scorecard import Scorecard
from fedrisk.serving import registry
from fedrisk.serving.asking import Asking
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.messages import MOST_ROWS
from support.served import approve_all

SERVING = {"approve": "own_parts", "consent": "none", "per_day": 100_000, "ages": "always"}
POLICY = {"score_themes": True, "band_columns": 2, "scores": "points", "serving": SERVING}
THEMES = {"scorecard": {"themes": "holders"}}


@pytest.fixture(scope="module")
def run(kit, tmp_path_factory):
    return kit.build(
        tmp_path_factory.mktemp("themes"),
        ("alfa",),
        kit.HOLDERS,
        enterprises=1200,
        policy=POLICY,
        study=THEMES,
    ).run()


def given_by(node, ids):
    """What a holder's part gives of enterprises in its own theme, by its table and the part alone."""
    (part,) = node.store.models.parts()
    (own,) = [one for one in part.sums if one.features]
    table = node.institution.read()
    at = {enterprise: k for k, enterprise in enumerate(table.ids)}
    sums = np.zeros(len(ids), np.int64)
    known = np.array([enterprise in at for enterprise in ids])
    rows = [at.get(enterprise, 0) for enterprise in ids]
    for j in own.features:
        sums += np.asarray(part.points[j])[codes_of(part.bins[j], table.frame, rows, known)]
    return own, GivenPoints(own.edges, own.values).of(sums)


def codes_of(stored, frame, rows, known):
    bins = Bins.from_dict(dict(stored))
    if not bins.feature.is_column:
        return (~known).astype(int)
    codes = bins.codes(frame[bins.feature.column].iloc[rows].reset_index(drop=True))
    return np.where(known, codes, bins.size - 1)


def test_a_bank_gets_a_number_of_each_holder_and_they_add_up(run):
    scores = run.scores("alfa")
    (part,) = run.nodes["alfa"].store.models.parts()
    card = Scorecard.from_json(part.calibrated)
    whole = 0
    for holder in ("power", "tax"):
        own, given = given_by(run.nodes[holder], scores["id"].tolist())
        assert own.name == holder
        scaled = card.scaled_points(card.calibration, given)
        assert scores[f"external_points:{holder}"].tolist() == scaled.tolist()
        assert 3 < len(np.unique(given)) <= 512
        whole = whole + given
    assert scores["external_points"].tolist() == card.scaled_points(card.calibration, whole).tolist()
    assert (card.base_points + scores["own_points"] + scores["external_points"]).tolist() == scores[
        "score"
    ].tolist()


def test_what_is_given_by_theme_is_entered_as_such(run):
    sent = [e for e in run.nodes["tax"].trail.entries() if e.kind == "partial_scores"]
    taken = [e for e in run.nodes["alfa"].trail.entries() if e.kind == "partial_scores"]
    assert {e.protection for e in sent} == {"points_by_theme"}
    assert {e.protection for e in taken} == {"masked_or_by_theme"}
    assert {e.digest for e in sent} <= {e.digest for e in taken}
    (found,) = [f for f in run.results.findings if f.code == "themes_given"]
    assert found.values["sums"] == "power (power), tax (tax)"


def test_the_banks_own_models_hear_the_themes_and_serving_says_the_same(run):
    node, scores = run.nodes["alfa"], run.scores("alfa")
    (part,) = node.store.models.parts()
    kept = OwnModel.from_bytes(node.store.models.file(part.model, FILE))
    assert kept.themes == ("power", "tax") and kept.members["boosted"].consortium == 3
    # The card may give away one of power's two columns by its form, now that they are in a sum of their own.
    approve_all(run)
    relay = LocalRelay({name: n.institution.file for name, n in run.nodes.items()}, "none")
    ids = scores["id"].tolist()[:MOST_ROWS]
    sums = Asking(node, relay.of("alfa")).ask(part, ids, purpose=part.purpose)
    relay.close()
    assert (sums.failed, sums.refused) == ({}, {})
    card = Scorecard.from_json(part.calibrated)
    for k, theme in enumerate(("power", "tax")):
        points = card.scaled_points(card.calibration, sums.columns[f"points_{k}"])
        assert points.tolist() == scores[f"external_points:{theme}"].tolist()[:MOST_ROWS]
    (entry,) = [e for e in run.nodes["tax"].trail.entries() if e.action == "serve"]
    assert entry.protection == "points_by_theme"


def test_a_policy_that_changed_serves_no_themes(run):
    approve_all(run)
    tax = run.nodes["tax"]
    (part,) = tax.store.models.parts()
    assert registry.served(tax, part.model, "alfa") == part
    policy = tax.institution.policy.model_copy(update={"score_themes": False})
    stricter = replace(tax, institution=tax.institution.model_copy(update={"policy": policy}))
    with pytest.raises(registry.Unserved, match="score_themes is false"):
        registry.served(stricter, part.model, "alfa")
    # So it is where the holder is alone in the rest, since it allowed that then.
    rest = part.model_copy(update={"sums": tuple(s.model_copy(update={"name": "rest"}) for s in part.sums)})
    assert any("score_themes" in line for line in registry._limits(stricter, rest))
    assert not registry._limits(tax, rest)


def test_a_holder_that_does_not_allow_it_leaves_one_number(kit, tmp_path):
    """Two holders, of which one allows themes: the other would be the total less the theme."""
    consortium = kit.build(
        tmp_path,
        ("alfa",),
        kit.HOLDERS,
        policy=POLICY,
        study={**THEMES, "privacy": {"epsilon": float("inf")}},
    )
    rules = consortium.content["power"]["policy"]
    consortium.content["power"]["policy"] = {**rules, "score_themes": False}
    consortium.write("power")
    run = consortium.run(research_seed=1)
    assert not [c for c in run.scores("alfa") if c.startswith("external_points:")]
    (found,) = [f for f in run.results.findings if f.code == "themes_together"]
    assert found.values["themes"] == "power, tax"
