"""A whole study that looks for pairs: what is released, charged, kept, told and given."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients.attempt import Attempt
from fedrisk.errors import PeerError, ProtocolError
from fedrisk.models.card_pairs import with_pair_codes
from fedrisk.models.pairs import pair_part, pair_rows
from fedrisk.models.scorecard import Scorecard
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard.fitting import refit
from fedrisk.recipes.scorecard.matrices import table_codes
from fedrisk.recipes.scorecard.model_parts import part_of
from fedrisk.recipes.scorecard.pairing import PRODUCT_BITS
from fedrisk.recipes.scorecard.prepared import told_designs
from fedrisk.releases.budget import total_mu

PAIRS = {"second": "gram", "pairs": "auto"}


BANK = [
    {"name": "debt", "kind": "number", "low": 0, "high": 1_000_000, "grid": "log", "bins": 6},
    {"name": "late", "kind": "number", "low": 0, "high": 12, "bins": [3.0, 4.5, 5.5, 6.5, 7.5, 9.0]},
    {"name": "age", "kind": "number", "low": 0, "high": 99, "bins": [30.0, 40.0, 50.0]},
    {"name": "grade", "kind": "category", "categories": ["A", "B", "C"]},
]


def interacting(enterprises, seed=3):
    """Default depends on the product of two columns of the bank, and on that of two columns of the tax office."""
    rng = np.random.default_rng(seed)
    u, v, a, b, w = rng.normal(size=(5, enterprises))
    risk = -2 + 0.5 * u + 0.4 * a + 1.1 * u * v - 1.0 * a * b + 0.3 * w
    ids = np.array([f"ENT{i:06d}" for i in range(enterprises)], object)
    bank = {
        "id": ids,
        "debt": np.exp(9 + u),
        "late": np.clip(6 + 2 * v, 0, 12),
        "age": rng.normal(40, 9, enterprises).clip(1, 98),
        "grade": np.array(["A", "B", "C"])[np.digitize(w, [-0.6, 0.7])],
        "bad": (rng.random(enterprises) < 1 / (1 + np.exp(-risk))).astype(int),
    }
    tax = {
        "id": ids,
        "sales": np.exp(12 + a),
        "growth": np.clip(0.3 * b, -0.99, 0.99),
        "audited": (w > 1) * 1.0,
    }
    usage = np.clip(500 + 100 * rng.normal(size=enterprises), 1, 999)
    power = {"id": ids, "usage": usage, "cuts": 1.0 * (v > 1)}
    known, second = rng.random(enterprises) < 0.9, rng.random(enterprises) < 0.4
    return {
        "alfa": pd.DataFrame(bank),
        "beta": pd.DataFrame(bank)[second],
        "tax": pd.DataFrame(tax)[known],
        "power": pd.DataFrame(power),
    }


def built(kit, folder, banks=("alfa", "beta"), **how):
    study = {"scorecard": PAIRS, "privacy": {"epsilon": 20.0}}
    columns = {**kit.COLUMNS, "bank": BANK}
    return kit.build(
        folder, banks, kit.HOLDERS, tables=interacting(2500), columns=columns, study=study, **how
    )


@pytest.fixture(scope="module")
def run(kit, tmp_path_factory):
    return built(kit, tmp_path_factory.mktemp("pairs")).run()


@pytest.fixture(scope="module")
def exact(kit, tmp_path_factory):
    """Without noise, of one bank."""
    consortium = built(kit, tmp_path_factory.mktemp("exact"), ("alfa",))
    return consortium.run(consortium.with_study(privacy={"epsilon": math.inf}), research_seed=5)


def pairs_on(card):
    return [b.feature.name for b in card.bins if b.feature.kind == "pair"]


def test_what_interacts_is_on_the_card_and_said(run):
    card = run.results.card
    assert set(pairs_on(card)) >= {"bank.debt x late", "tax.sales x growth"}
    (said,) = [f for f in run.results.findings if f.code == "pairs_kept"]
    assert said.values["kept"] == len(pairs_on(card)) and said.values["looked"] == 3 + 3 + 1
    assert json.loads(card.to_json())["version"] == 3
    assert Scorecard.from_json(card.to_json()).same_as(card)


def test_every_member_is_charged_for_it_within_the_budget(run):
    released = run.results.record.find("pairs")
    assert {s["institution"] for s in released.spends} == {"alfa", "beta", "tax", "power"}
    assert released.mu == run.plan.mu("pairs") == pytest.approx(total_mu(run.study) * math.sqrt(0.1))
    training = [r.mu for r in run.results.record.releases if r.population == "training"]
    assert math.sqrt(sum(m * m for m in training)) == pytest.approx(total_mu(run.study))
    assert all(b.variance > 0 for b in released.blocks)


def test_the_record_gives_the_same_card(run):
    assert refit(run.results.record).same_as(run.results.card)


def joined_score(run, bank, calibrated=True):
    """Scores of a bank's customers by the card and the joined tables alone."""
    first = Scorecard.from_json(run.told("card").get("scorecard"))
    card = Scorecard.from_json(run.told("calibration").get("scorecard"))
    scores = run.scores(bank)
    own = codes_at(run, first, bank, "bank", scores["id"])
    total = card.institution_points("bank", list(own.T)) + card.base_points
    external = sum(
        first.institution_points(h, list(codes_at(run, first, h, h, scores["id"]).T))
        for h in run.study.holders
    )
    return total + first.scaled_points(card.calibration, external), scores


def codes_at(run, card, name, role, ids):
    table = run.nodes[name].institution.read()
    frame = table.frame
    bins = [b for b in card.bins if b.feature.institution == role and b.feature.kind != "pair"]
    codes = table_codes(frame, bins)
    place = {i: k for k, i in enumerate(table.ids)}
    rows = np.array([place.get(i, -1) for i in ids])
    return with_pair_codes(card, role, codes)[rows]


@pytest.mark.parametrize("bank", ["alfa", "beta"])
def test_scores_at_the_bank_are_the_card_applied_to_the_joined_rows(run, bank):
    expected, scores = joined_score(run, bank)
    assert (scores["score"].to_numpy() == expected).all()


def test_the_release_is_the_sum_of_label_less_expected_times_products(exact):
    """From the tables, the order and the told numbers alone."""
    released = exact.results.record.release("pairs")
    nodes = exact.nodes
    attempts = {n: Attempt(node, node.store.attempt(exact.attempt)) for n, node in nodes.items()}
    designs = told_designs(attempts["alfa"])
    scores = exact.scores("alfa")
    ids, y = (
        scores["id"][scores["split"] == "training"],
        scores["label"][scores["split"] == "training"].to_numpy(),
    )
    card = Scorecard.from_json(exact.told("card").get("scorecard"))
    for role, name in (("bank", "alfa"), ("tax", "tax"), ("power", "power")):
        codes = codes_at(exact, card, name, role, ids)
        design = designs[role]
        mine = card.features_of(role)
        own = [codes[:, mine.index(j)] for j in design.own]
        p = pair_rows(own, design, PRODUCT_BITS) / 2.0**PRODUCT_BITS
        wanted = p.T @ (y - pair_part(own, design))
        assert np.allclose(released.block(role).total[:, 0], wanted, atol=len(y) * 2.0**-16 * 4)


def test_a_card_with_pairs_leaves_no_model(run):
    for node in run.nodes.values():
        assert not node.store.models.parts()
        with pytest.raises(ProtocolError, match="not served yet"):
            part_of(Attempt(node, node.store.attempt(run.attempt)))


def test_own_models_hear_the_pairs(run):
    scores = run.scores("alfa")
    assert {"alone_probability", "champion_probability"} <= set(scores)


@pytest.mark.parametrize("part", ["gram", "card"])
def test_totals_that_do_not_follow_are_refused(kit, tmp_path, part):
    consortium = built(kit, tmp_path, ("alfa",))

    def lie(run, step):
        def other(content):
            blobs = dict(content.blobs)
            blobs["tax" if part == "card" else "tax.bank"] = (
                blobs["tax" if part == "card" else "tax.bank"] * -1 + 40.0
            )
            return Payload(content.body, blobs)

        kit.retold(step, part, other)

    with pytest.raises(PeerError):
        consortium.run(change=lie)
