"""A whole study that looks for pairs: what is released, charged, kept, told and given."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.attacks.lies import retell, spends
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.own_results import entry_of, reason_counts
from fedrisk.data.features import KNOWN
from fedrisk.errors import PeerError
from fedrisk.models.card_pairs import with_pair_codes
from fedrisk.models.own_model import FILE
from fedrisk.models.pairs import pair_part, pair_rows
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.fitting import refit
from fedrisk.recipes.scorecard.matrices import table_codes
from fedrisk.recipes.scorecard.model_parts import part_of
from fedrisk.recipes.scorecard.pairing import PRODUCT_BITS
from fedrisk.recipes.scorecard.prepared import told_designs
from fedrisk.releases.budget import total_mu
from fedrisk.server.runs import Runs, entry
from fedrisk.serving.asking import Asking
from fedrisk.serving.card_model import CardModel
from fedrisk.serving.drift import Counters, read_drift
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.messages import MOST_ROWS
from fedrisk.serving.sums import points_of
from support.served import approve_all

pytestmark = pytest.mark.study
PAIRS = {"second": "gram", "pairs": "auto"}
SERVING = {"approve": "own_parts", "consent": "none", "per_day": 100_000, "ages": "always"}
STUDY = {"scorecard": PAIRS, "privacy": {"epsilon": 20.0}}


BANK = [
    {"name": "debt", "kind": "number", "low": 0, "high": 1_000_000, "grid": "log", "bins": 6},
    {"name": "late", "kind": "number", "low": 0, "high": 12, "bins": [3.0, 4.5, 5.5, 6.5, 7.5, 9.0]},
    {"name": "age", "kind": "number", "low": 0, "high": 99, "bins": [30.0, 40.0, 50.0]},
    {"name": "grade", "kind": "category", "categories": ["A", "B", "C"]},
]


def enter(run):
    """The hub's entry of a run, as run_study makes it."""
    begun = entry(run.study, run.study, run.attempt, engine="in-process", research=False, out=None)
    with Runs(run.hub).begin(begun) as log:
        log.finish(run.results)


def interacting(enterprises, seed=3):
    """Default depends on the product of two columns of the bank, and on that of two columns of the tax office."""
    rng = np.random.default_rng(seed)
    u, v, a, b, w = rng.normal(size=(5, enterprises))
    risk = -2 + 0.5 * u + 0.4 * a + 1.8 * u * v - 1.8 * a * b + 0.3 * w
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
    columns = {**kit.COLUMNS, "bank": BANK}
    return kit.build(
        folder, banks, kit.HOLDERS, tables=interacting(2200), columns=columns, study=STUDY, **how
    )


@pytest.fixture(scope="module")
def run(kit, tmp_path_factory):
    return built(kit, tmp_path_factory.mktemp("pairs"), policy={"serving": SERVING}).run()


@pytest.fixture(scope="module")
def exact(kit, tmp_path_factory):
    """Without noise, of one bank."""
    consortium = built(kit, tmp_path_factory.mktemp("exact"), ("alfa",))
    return consortium.run(consortium.with_study(privacy={"epsilon": math.inf}), research_seed=5)


def pairs_on(card):
    return [b.feature.name for b in card.bins if b.feature.kind == "pair"]


def test_what_interacts_is_on_the_card_and_said(run, exact):
    card = run.results.card
    assert "tax.sales x growth" in pairs_on(card)
    assert set(pairs_on(exact.results.card)) >= {"bank.debt x late", "tax.sales x growth"}
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
    # Programs that know of no pairs read up to version 1, and would fit another card.
    assert run.results.record.version == 2


def joined_score(run, bank):
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


@pytest.mark.parametrize(("noise", "bank"), [(True, "alfa"), (True, "beta"), (False, "alfa")])
def test_scores_at_the_bank_are_the_card_applied_to_the_joined_rows(run, exact, noise, bank):
    expected, scores = joined_score(run if noise else exact, bank)
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


def test_a_card_with_pairs_serves_the_scores_of_the_study_and_counts_columns(run):
    """The holders' points as they are asked for, and the bank's own, for the same rows; the bank's own models too."""
    scores = run.scores("alfa").iloc[:MOST_ROWS]
    bank = run.nodes["alfa"]
    (part,) = bank.store.models.parts()
    approve_all(run)
    relay = LocalRelay({name: n.institution.file for name, n in run.nodes.items()}, "none")
    sums = Asking(bank, relay.of("alfa")).ask(part, scores["id"].tolist(), purpose=part.purpose)
    relay.close()
    assert (sums.failed, sums.refused) == ({}, {})
    model = CardModel.of(part, bank.store.models.file(part.model, FILE))
    external = model.external(points_of(part, sums.columns))
    assert external.tolist() == scores["external_points"].tolist()
    table = bank.institution.read()
    place = {enterprise: k for k, enterprise in enumerate(table.ids)}
    rows = table.frame.iloc[[place[i] for i in scores["id"]]].reset_index(drop=True)
    columns = {c: rows[c] for c in model.columns}
    codes = model.codes(columns)
    assert len(codes) == len(model.card.features_of("bank"))
    own = model.own_points(codes, len(rows))
    assert own.tolist() == scores["own_points"].tolist()
    assert model.totals(own, external).tolist() == scores["score"].tolist()
    best = model.own_probability(columns, codes, external)
    assert np.allclose(best, scores["best_probability"], atol=1e-12)
    # The holder counts what it served by its columns; pairs follow from them.
    folder = run.nodes["tax"].store.path / "serving"
    Counters.of(folder).write()
    counted = {key.partition("@")[0] for month in read_drift(folder).bins.values() for key in month}
    assert counted == {"sales", "growth", "audited", KNOWN}


def test_a_holders_part_has_its_pairs(run):
    (part,) = run.nodes["tax"].store.models.parts()
    kinds = [b["kind"] for b in part.bins]
    assert kinds.count("pair") == sum(n.startswith("tax.") for n in pairs_on(run.results.card)) > 0
    assert [len(s) for s in part.shares] == [len(p) for p in part.points]
    assert all(sum(s) == pytest.approx(1.0) for s in part.shares)
    assert part_of(Attempt(run.nodes["tax"], run.nodes["tax"].store.attempt(run.attempt))) == part


def test_own_models_hear_the_pairs(run):
    scores = run.scores("alfa")
    assert {"alone_probability", "champion_probability"} <= set(scores)


def refused(kit, folder, lie):
    """The action at which a study stops, and what each member was charged for until then."""
    columns = {**kit.COLUMNS, "bank": BANK}
    consortium = kit.build(folder, tables=interacting(2200), columns=columns, study=STUDY)
    with pytest.raises(PeerError) as caught:
        consortium.run(change=lie)
    assert any(f"({code})" in str(caught.value) for code in ("protocol", "config")), str(caught.value)
    return consortium.last.steps[-1].action, spends(consortium)


def test_a_gram_matrix_of_no_numbers_is_refused_before_pairs_are_paid_for(kit, tmp_path):
    def lie(run, step):
        def change(name, total):
            total.flat[0] = np.nan
            return total

        retell(step, "gram", blobs=change)

    action, charged = refused(kit, tmp_path, lie)
    assert action == "mask" and not any("pairs" in made for made in charged.values())


@pytest.mark.parametrize(
    "what", ["totals", *(pytest.param(what, marks=pytest.mark.long) for what in ("points", "left_out"))]
)
def test_pairs_that_do_not_follow_give_no_scores(kit, tmp_path, what):
    """Totals of pairs, or points of one, or none at all: not those of the card that members work out."""

    def lie(run, step):
        def change(name, total):
            return -3 * total

        def card(content):
            said = json.loads(content["scorecard"])
            if what == "points":
                said["points"][0][0] += 9
            if what == "left_out":
                kept = [j for j, b in enumerate(said["bins"]) if b["kind"] != "pair"]
                for key in ("bins", "points", "averages", "errors"):
                    said[key] = [said[key][j] for j in kept]
            content["scorecard"] = json.dumps(said)

        if step.action in ("score", "deliver"):
            retell(step, "card", card, change if what == "totals" else None)

    action, charged = refused(kit, tmp_path, lie)
    assert action == "score" and not any("evaluation" in made for made in charged.values())
    assert all("pairs" in made for made in charged.values())


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "study", "code"),
    [
        (
            {},
            {"scorecard": {"pairs": "auto", "second": "auto"}, "privacy": {"epsilon": 3.0}},
            "pairs_beside_recount",
        ),
        (
            {"label": {"column": "bad", "horizon": "a year", "weight": "weight"}},
            STUDY,
            "pairs_of_plain_labels",
        ),
        (
            {"columns": {"bank": BANK[:1], "tax": [{"name": "audited", "kind": "flag"}]}},
            STUDY,
            "pairs_of_no_columns",
        ),
        ({"holders": ()}, STUDY, "released"),
    ],
)
def test_where_there_are_none_it_is_said_and_nothing_is_charged(kit, tmp_path, how, study, code):
    parts = {"columns": {**kit.COLUMNS, "bank": BANK}, **how}
    tables = interacting(300 if code == "pairs_beside_recount" else 1500)
    tables["alfa"]["weight"] = 0.5
    consortium = kit.build(tmp_path, tables=tables, study=study, **parts)
    run = consortium.run()
    said = {f.code: f for f in run.results.findings}
    # By chance of the noise a pair of the bank's is kept or not.
    assert {"pairs_kept", "pairs_none"} & set(said) if code == "released" else code in said
    paid = any("pairs" in made for made in spends(consortium).values())
    assert paid == (run.results.record.find("pairs") is not None) == (code == "released")
    assert refit(run.results.record).same_as(run.results.card)
    training = [r.mu for r in run.results.record.releases if r.population == "training"]
    spent = math.sqrt(sum(m * m for m in training)) / total_mu(run.study)
    assert spent == pytest.approx(1.0 if code in ("released", "pairs_beside_recount") else math.sqrt(0.9))


@pytest.mark.long
def test_a_study_that_remembers_one_with_pairs_reads_its_counts(kit, tmp_path):
    consortium = built(kit, tmp_path, ("alfa",), policy={"cap_epsilon": 60.0})
    first = consortium.run(consortium.with_study(name="january"))
    enter(first)
    second = consortium.run(consortium.with_study(name="february", scorecard={**PAIRS, "memory": "auto"}))
    assert "memory_used" in {f.code for f in second.results.findings}
    assert "tax.sales x growth" in pairs_on(second.results.card)
    assert refit(second.results.record).same_as(second.results.card)
    expected, scores = joined_score(second, "alfa")
    assert (scores["score"].to_numpy() == expected).all()


def test_a_pair_as_a_reason_means_what_its_columns_do(exact):
    node = exact.nodes["alfa"]
    rows = {row["column"]: row for row in reason_counts(node, entry_of(node, exact.attempt))}
    assert rows["debt x late"]["meaning"] == "m x m" and rows["debt"]["meaning"] == "m"


@pytest.mark.long
@pytest.mark.parametrize("member", ["alfa", "tax"])
def test_a_gram_matrix_that_one_member_is_told_otherwise_stops_before_pairs_are_paid_for(
    kit, tmp_path, member
):
    """Masked products are sealed for the view that a member was told, and open to no other."""

    def lie(run, step):
        retell(step, "gram", blobs=lambda name, total: total * 0.5, members=(member,))

    action, charged = refused(kit, tmp_path, lie)
    assert action == "release" and not any("pairs" in made for made in charged.values())
