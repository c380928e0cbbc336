"""The calibrated card in whole studies: its histogram, its scores, who pays for it, and a hub that lies about it."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

from fedrisk.attacks.lies import retell, spends
from fedrisk.errors import PeerError
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.accounting import mu_for
from fedrisk.protocol.payload import spends_in
from fedrisk.recipes.scorecard.columns import SHARES
from fedrisk.recipes.scorecard.fitting import refit
from fedrisk.releases.budget import split, total_mu
from support.long import sampled

pytestmark = pytest.mark.study

NO_NOISE = {"privacy": {"epsilon": math.inf}}
ERROR = 1e-6
"""Probability that a statistical test fails by chance."""

BINS = 12


def by_hand(consortium, card, institution, ids):
    """Points of an institution's columns for these enterprises, one that it does not know being one event, (n,)."""
    role = "bank" if institution in consortium.study.banks else institution
    table = consortium.tables[institution].set_index("id")
    known = np.isin(ids, table.index)
    rows = table.reindex(ids)
    total = np.zeros(len(ids), np.int64)
    for b, points in zip(card.bins, card.points, strict=True):
        if b.feature.institution != role:
            continue
        codes = np.full(len(ids), b.size - 1)
        if b.feature.kind == "known":
            codes[known] = 0
        else:
            codes[known] = b.codes(rows[b.feature.column][known].reset_index(drop=True))
        total += np.array(points)[codes]
    return total


def first_card(record):
    """The card as it was before its calibration."""
    return refit(
        dataclasses.replace(record, releases=tuple(r for r in record.releases if r.name != "calibration"))
    )


def first_scores(consortium, card, bank, ids):
    """Own points and holders' points of customers by a card that is not calibrated."""
    own = by_hand(consortium, card, bank, ids)
    held = sum(
        (by_hand(consortium, card, h, ids) for h in consortium.study.holders), np.zeros(len(ids), np.int64)
    )
    return own, held


def exact_histogram(consortium, run, weight=None):
    """Sums of labels of the training rows by score bin, from tables that one person joined, (bins, 2)."""
    card = first_card(run.results.record)
    edges = card.calibration_bins(BINS)
    counts = np.zeros((BINS, 2))
    for bank in consortium.study.banks:
        scores = run.scores(bank)
        ids = scores["id"][scores["split"] == "training"].to_numpy()
        rows = consortium.tables[bank].set_index("id").loc[ids]
        y, w = rows["bad"].to_numpy(float), 1.0 if weight is None else rows[weight].to_numpy()
        place = np.searchsorted(
            edges, card.base_points + sum(first_scores(consortium, card, bank, ids)), "right"
        )
        np.add.at(counts, place, np.stack([w * y, w * (1 - y)], 1))
    return counts


def half_known(kit, enterprises=6000, seed=1):
    """The usual tables, but the tax office knows a half of all enterprises, by chance."""
    tables = kit.province(enterprises, seed)
    tables["tax"] = tables["tax"].sample(frac=0.5 / 0.85, random_state=seed).reset_index(drop=True)
    return tables


@pytest.fixture(scope="module")
def exact(kit, scratch):
    """A research run without noise of two banks and two holders, of which one knows a half."""
    consortium = kit.build(scratch(), ("alfa", "beta"), kit.HOLDERS, tables=half_known(kit), study=NO_NOISE)
    return consortium, consortium.run(research_seed=1)


# --- what is released, and what follows from it --------------------------------------------------------------


def test_twelve_exchanges(exact):
    _, run = exact
    actions = ["describe", "blind", "evaluate", "pseudonyms", "edges", *["mask", "release"] * 2]
    assert [s.action for s in run.steps] == [*actions, "score", "calibrate", "deliver"]
    assert run.results.exchanges == 12
    assert set(run.step("score").sent) == {"tax", "power"}
    assert set(run.step("calibrate").sent) == set(run.step("deliver").sent) == {"alfa", "beta"}


def test_the_histogram_in_the_record_is_that_of_the_training_rows(exact):
    consortium, run = exact
    (block,) = run.results.record.release("calibration").blocks
    assert np.array_equal(block.total, exact_histogram(consortium, run))
    assert block.total.sum() == sum(run.results.to_dict()["rows"]["training"].values())
    card = first_card(run.results.record)
    assert run.results.record.release("calibration").about == {
        "score_edges": pytest.approx(card.calibration_bins(BINS).tolist())
    }


def test_the_card_of_the_record_is_the_card(exact):
    _, run = exact
    card = run.results.card
    assert refit(run.results.record).to_json() == card.to_json()
    assert card.calibration is not None and json.loads(card.to_json())["version"] == 2
    for told, kept in (("card", first_card(run.results.record)), ("calibration", card)):
        assert Scorecard.from_json(run.told(told).get("scorecard")) == kept
    for bank in ("alfa", "beta"):
        stored = (run.nodes[bank].store.results(run.attempt) / "scorecard.json").read_text()
        assert Scorecard.from_json(stored) == card


def test_scores_are_on_the_scale_of_the_calibration(exact):
    """Base, own points by the calibrated card, and the holders' sum by the first card times the line's slope."""
    consortium, run = exact
    card, first = run.results.card, first_card(run.results.record)
    for bank in consortium.study.banks:
        scores = run.scores(bank)
        ids = scores["id"].to_numpy()
        _, held = first_scores(consortium, first, bank, ids)
        assert np.array_equal(scores["own_points"], by_hand(consortium, card, bank, ids))
        assert np.array_equal(scores["external_points"], np.rint(card.calibration.line[1] * held))
        assert np.array_equal(
            scores["score"], card.base_points + scores["own_points"] + scores["external_points"]
        )
        np.testing.assert_allclose(scores["probability"], card.probability(scores["score"]))
        by_score = scores.sort_values("score")["probability"].to_numpy()
        assert (np.diff(by_score) <= 0).all() and by_score[0] > by_score[-1]


def customers(consortium, run, split):
    """Labels and probabilities of all banks' customers of a split, and whether the tax office knows them."""
    y, p, known = [], [], []
    for bank in consortium.study.banks:
        scores = run.scores(bank)
        scores = scores[scores["split"] == split]
        y.append(consortium.tables[bank].set_index("id").loc[scores["id"], "bad"].to_numpy(float))
        p.append(scores["probability"].to_numpy())
        known.append(scores["id"].isin(consortium.tables["tax"]["id"]).to_numpy())
    return np.concatenate(y), np.concatenate(p), np.concatenate(known)


def test_mean_probabilities_are_the_rates_of_known_and_unknown_enterprises(exact):
    """On the hold-out, within the error of the hold-out and of training: normal bounds at an error of 1e-6."""
    consortium, run = exact
    y, p, known = customers(consortium, run, "holdout")
    trained = customers(consortium, run, "training")[2]
    assert 0.4 < known.mean() < 0.6
    for part, rows in ((known, trained.sum()), (~known, (~trained).sum()), (known | ~known, len(trained))):
        variance = (p[part] * (1 - p[part])).sum()
        bound = stats.norm.isf(ERROR / 2) * math.sqrt(variance * (1 + part.sum() / rows))
        assert abs(p[part].sum() - y[part].sum()) <= bound
        assert bound < 0.6 * y[part].sum()  # the bound says something
    y, p, known = customers(consortium, run, "training")
    assert p.mean() == pytest.approx(y.mean(), rel=0.05)
    for part in (known, ~known):
        assert p[part].mean() == pytest.approx(y[part].mean(), rel=0.15)


def test_the_scale_holds_on_rows_that_nobody_trained_on(exact):
    """A logistic regression of the hold-out's labels on its log-odds: slope 1 within five of its errors."""
    consortium, run = exact
    y, p, _ = customers(consortium, run, "holdout")
    x = np.log(p / (1 - p))
    w = np.array([0.0, 1.0])
    basis = np.stack([np.ones(len(x)), x], 1)
    for _ in range(30):
        q = 1 / (1 + np.exp(-basis @ w))
        information = basis.T @ (basis * (q * (1 - q))[:, None])
        w += np.linalg.solve(information, basis.T @ (y - q))
    assert abs(w[1] - 1) < 5 * math.sqrt(np.linalg.inv(information)[1, 1])


def test_an_enterprise_that_a_holder_does_not_know_is_one_event(exact):
    """All unknown ones get the same points of the holder, and these come from one feature alone."""
    consortium, run = exact
    card = first_card(run.results.record)
    places = card.features_of("tax")
    assert [card.bins[j].feature.kind for j in places] == ["number", "number", "flag", "known"]
    assert [card.points[j][-1] for j in places[:-1]] == [0, 0, 0]
    ids = run.scores("alfa")["id"].to_numpy()
    unknown = ~np.isin(ids, consortium.tables["tax"]["id"])
    assert set(by_hand(consortium, card, "tax", ids[unknown])) == {card.points[places[-1]][1]}


@pytest.mark.parametrize("holders", [("tax", "power"), pytest.param((), marks=pytest.mark.long)])
def test_the_histogram_carries_the_noise_that_it_states(kit, tmp_path, holders):
    """Three runs with repeatable noise, 24 counts each: their squares by the stated variance are a chi-square."""
    study = {"privacy": {"epsilon": 1.0}}
    consortium = kit.build(tmp_path, ("alfa", "beta"), holders, enterprises=700, study=study)
    mu = split(total_mu(consortium.study), SHARES)["calibration"]
    standard = []
    for seed in (1, 2, 3):
        run = consortium.run(research_seed=seed, wire=False)
        (block,) = run.results.record.release("calibration").blocks
        # Two banks, of which each has to bear the whole noise against the other, and sqrt(2) for holders' records.
        assert block.variance == pytest.approx(2 * (2 if holders else 1) / mu**2, rel=0.01)
        standard.append((block.total - exact_histogram(consortium, run)) / math.sqrt(block.variance))
    x = np.concatenate(standard).ravel()
    low, high = stats.chi2.ppf([ERROR / 2, 1 - ERROR / 2], x.size)
    assert low < x @ x < high
    assert abs(x.mean()) < stats.norm.isf(ERROR / 2) / math.sqrt(x.size)
    assert len({s.tobytes() for s in standard}) == 3


@pytest.mark.long
def test_weights_and_labels_between_zero_and_one_are_in_the_histogram(kit, tmp_path):
    tables = kit.province(1500)
    tables["alfa"]["bad"] = (tables["alfa"]["bad"] * 2 + np.arange(len(tables["alfa"])) % 2) / 4
    label = {"column": "bad", "horizon": "a year", "weight": "weight"}
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), tables=tables, label=label, study=NO_NOISE)
    run = consortium.run(research_seed=1)
    (block,) = run.results.record.release("calibration").blocks
    exact = exact_histogram(consortium, run, "weight")
    assert not run.binary_labels and np.any(exact != np.rint(exact))
    assert np.array_equal(block.total, exact)
    scores = run.scores("alfa")
    rows = consortium.tables["alfa"].set_index("id").loc[scores["id"][scores["split"] == "training"]]
    p = scores["probability"][scores["split"] == "training"].to_numpy()
    rate = np.average(rows["bad"], weights=rows["weight"])
    assert run.results.card.rate == pytest.approx(rate, rel=1e-9)
    assert np.average(p, weights=rows["weight"]) == pytest.approx(rate, rel=0.05)


@pytest.mark.long
def test_a_holder_that_knows_every_enterprise(kit, tmp_path):
    tables = kit.province(2500)
    tables["alfa"] = tables["alfa"][tables["alfa"]["id"].isin(tables["tax"]["id"])].reset_index(drop=True)
    consortium = kit.build(tmp_path, tables=tables, study=NO_NOISE)
    run = consortium.run(research_seed=1)
    card = run.results.card
    known = card.features_of("tax")[-1]
    assert card.bins[known].feature.kind == "known" and abs(card.points[known][0]) <= 1
    (block,) = run.results.record.release("calibration").blocks
    assert np.array_equal(block.total, exact_histogram(consortium, run))
    y, p, everybody = customers(consortium, run, "training")
    assert everybody.all() and p.mean() == pytest.approx(y.mean(), rel=0.05)


# --- who pays ------------------------------------------------------------------------------------------------


def test_holders_are_charged_with_their_scores_and_banks_with_their_histograms(kit, tmp_path):
    consortium = kit.build(
        tmp_path, ("alfa", "beta"), kit.HOLDERS, study={"privacy": {"epsilon": 1.0}}, enterprises=900
    )
    run = consortium.run()
    mu = mu_for(1.0, 1e-6)
    wanted = {"calibration": split(mu, SHARES)["calibration"], "evaluation": mu}
    for name, node in run.nodes.items():
        holder = name in kit.HOLDERS
        entries = {e.spend.release: e.spend for e in node.ledger.entries()}
        assert {k: s.mu for k, s in entries.items() if k in wanted} == pytest.approx(wanted)
        assert entries["calibration"].population == "training"
        assert math.hypot(*(s.mu for s in entries.values() if s.population == "training")) == pytest.approx(
            mu
        )
        exchanges = (
            {"score": [*wanted]} if holder else {"calibrate": ["calibration"], "deliver": ["evaluation"]}
        )
        for action, releases in exchanges.items():
            answer = run.step(action).answers[name]
            assert [s["release"] for s in spends_in(answer)] == releases
            seen = [e for e in node.trail.entries() if e.event == "release" and e.action == action]
            kind = "charged_behind" if holder else "noisy_sums"
            assert [e.kind for e in seen] == [f"{kind}.{r}" for r in releases]
            assert [e.spend["mu"] for e in seen] == pytest.approx([wanted[r] for r in releases])
    told = [s for s in run.results.to_dict()["spends"] if s["release"] == "calibration"]
    assert {s["institution"] for s in told} == set(run.nodes)


def test_secrets_of_the_attempt_are_gone_once_an_institution_gave_its_last_answer(kit, tmp_path):
    """A holder's with its scores: what it confirms of the card is made before."""
    consortium = kit.build(tmp_path, ("alfa",), kit.HOLDERS, enterprises=700)
    left = {}

    def look(number, action, what):
        if action in ("calibrate", "deliver"):
            left[action] = {
                name: node.store.attempt(consortium.last.attempt).over
                for name, node in consortium.nodes.items()
            }

    run = consortium.run(report=look)
    assert left["calibrate"] == left["deliver"] == {"alfa": False, "tax": True, "power": True}
    assert all(node.store.attempt(run.attempt).over for node in run.nodes.values())


# --- a hub that lies about it --------------------------------------------------------------------------------


def not_calibrated(run, card):
    (told,) = [p.content for p in run._parts if p.name == "card"]
    return json.loads(told.get("scorecard"))


def another_slope(run, card):
    fitted = card["calibration"]
    return {**card, "calibration": {**fitted, "slope": fitted["slope"] * 1.01}}


def another_line(run, card):
    level, slope = card["calibration"]["line"]
    return {**card, "calibration": {**card["calibration"], "line": [level + 0.01, slope]}}


def other_points(run, card):
    """A point more for one bin of the bank's first column."""
    return {**card, "points": [[card["points"][0][0] + 1, *card["points"][0][1:]], *card["points"][1:]]}


def another_base(run, card):
    return {**card, "base_points": card["base_points"] + 3}


def no_card(run, card):
    return {"version": 2}


@pytest.mark.parametrize(
    "change",
    sampled([not_calibrated, another_slope, another_line, other_points, another_base, no_card], 3),
)
def test_a_calibrated_card_that_does_not_follow_gives_no_scores(kit, tmp_path, change):
    """Told to all banks alike; nothing of the hold-out is released, and no bank keeps scores by that card."""
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), enterprises=700)
    told = []

    def lie(run, step):
        def other(content):
            told.append(content["scorecard"])
            content["scorecard"] = json.dumps(change(run, json.loads(content["scorecard"])))

        if step.action == "deliver":
            retell(step, "calibration", other)

    with pytest.raises(PeerError, match=r"deliver: refused by alfa \((protocol|config)\)"):
        consortium.run(change=lie)
    assert len(told) == 2 and consortium.last.steps[-1].action == "deliver"
    made = spends(consortium)
    assert not any("evaluation" in made[bank] for bank in ("alfa", "beta"))
    for bank in ("alfa", "beta"):
        assert not (consortium.nodes[bank].store.results(consortium.last.attempt) / "scores.parquet").exists()


@pytest.mark.parametrize("what", sampled(["moved", "larger than the rows", "nan", "shape"], 2))
def test_totals_of_the_histogram_that_the_card_does_not_follow_from(kit, tmp_path, what):
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), enterprises=700)

    def lie(run, step):
        def other(block, total):
            if what == "shape":
                return total[:-1].copy()
            total[5] = {"moved": total[5][::-1] + 200, "larger than the rows": 1e9, "nan": np.nan}[what]
            return total

        if step.action == "deliver":
            retell(step, "calibration", blobs=other)

    with pytest.raises(PeerError, match=r"deliver: refused by alfa \((protocol|config)\)"):
        consortium.run(change=lie)
    assert not any("evaluation" in spends(consortium)[bank] for bank in ("alfa", "beta"))


def test_a_bank_that_is_told_another_card_for_scores_opens_nothing(kit, tmp_path):
    """The holders sealed their sums for the card that they were told."""
    consortium = kit.build(tmp_path, ("alfa",), kit.HOLDERS, enterprises=700)

    def lie(run, step):
        def other(content):
            card = json.loads(content["scorecard"])
            card["sd"] *= 1 + 1e-9
            content["scorecard"] = json.dumps(card)

        if step.action == "calibrate":
            retell(step, "card", other)

    with pytest.raises(PeerError, match=r"calibrate: refused by alfa \((envelope|protocol)\)"):
        consortium.run(change=lie)
    assert "calibration" not in spends(consortium)["alfa"]
