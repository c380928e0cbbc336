"""Customers without a label: in the bank's table and scored, in no sum of labels, and nobody else learns who they are."""

import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.alignment.matching import HOLD_OUT, TRAINING, UNUSED
from fedrisk.analysis.own_parts import periods_of
from fedrisk.attacks.lies import retell, spends
from fedrisk.clients import own_results
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.own_rows import own_rows
from fedrisk.errors import PeerError
from fedrisk.metrics import auc
from fedrisk.protocol.order import uses_digest
from fedrisk.protocol.payload import Payload
from support.long import sampled

pytestmark = pytest.mark.study

EXACT = {"privacy": {"epsilon": math.inf}}
NETWORK = {
    "recipe": "network",
    "network": {"kind": "logistic"},
    "training": {"steps": 3},
    "privacy": {"epsilon": math.inf},
    "expected": {"default_rate": 0.2},
}


def take_labels(consortium, bank, chosen, value=None):
    """Take the labels of some rows (numbers, or a share at random) of a bank away; their ids."""
    table = consortium.tables[bank]
    if isinstance(chosen, float):
        chosen = np.flatnonzero(np.random.default_rng(4).random(len(table)) < chosen)
    label = table["bad"].astype("Float64")
    label.iloc[chosen] = pd.NA if value is None else value
    consortium.tables[bank] = table.assign(bad=label)
    consortium.write(bank)
    return set(table["id"].iloc[chosen])


def totals(run):
    """Every released total by release and block."""
    return {(r.name, b.name): b.total for r in run.results.record.releases for b in r.blocks}


def run_with_uses(consortium, *args, change=None, **how):
    """A run, and by bank what each customer was used for by id, as the hub told the bank."""
    seen = {}

    def look(record, step):
        if change is not None:
            change(record, step)
        if step.action == "edges":
            for bank in consortium.study.banks:
                store = consortium.nodes[bank].store
                attempt = Attempt(consortium.nodes[bank], store.attempt(record.attempt))
                ids = attempt.read().ids[step.sent[bank].array(f"rows:{bank}")]
                seen[bank] = dict(
                    zip(ids.tolist(), step.sent[bank].array(f"use:{bank}").tolist(), strict=True)
                )

    return consortium.run(*args, change=look, **how), seen


# --- scored, and not trained on -----------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "share"), sampled([(None, 0.2), (None, 0.9), (5, 0.2), (5, 0.9)], 3))
def test_all_customers_have_scores_and_those_without_a_label_are_named_to_the_bank(
    kit, tmp_path, share, seed
):
    consortium = kit.build(tmp_path, holders=("tax", "power"), enterprises=2500)
    without = take_labels(consortium, "alfa", share)
    run = consortium.run(research_seed=seed)
    table, scores = consortium.tables["alfa"], run.scores("alfa").set_index("id")
    assert set(scores.index) == set(table["id"]) and without < set(scores.index)
    assert scores[["score", "probability", "external_points"]].notna().all().all()
    nobody = scores.index.isin(without)
    assert scores["label"].isna().to_numpy().tolist() == nobody.tolist()
    assert (scores["split"] == "no label").to_numpy().tolist() == nobody.tolist()
    # Public numbers: so many without a label in all, and about so many with one on each side.
    rows = run.results.rows
    assert rows.unlabelled == {"alfa": len(without)}
    there = scores["split"].value_counts()
    for side, counted in (("training", rows.training), ("holdout", rows.holdout)):
        # Six deviations of a hypergeometric draw: one test in 1e8 fails by chance.
        spread = 6 * math.sqrt(len(scores) * share * (1 - share) * 0.3 * 0.7) + 1
        assert abs(counted["alfa"] - there[side]) <= spread
    if share == 0.2:
        known = scores[~nobody]
        truth = table.set_index("id")["bad"].reindex(known.index).astype(float)
        assert auc(truth, -known["score"]) > 0.7
        # Those without a label rank as well, by the outcome that the bank does not have yet.
        later = kit.province(2500)["alfa"].set_index("id")["bad"].reindex(sorted(without))
        assert auc(later, -scores.loc[sorted(without), "score"]) > 0.65


@pytest.mark.parametrize("recipe", sampled(["scorecard", "network"], 2))
def test_what_a_bank_knows_of_them_enters_no_release(kit, tmp_path, recipe):
    """Their columns changed at the bank, exact sums: every total stays as it was, to the last bit."""
    holders = ("tax", "power") if recipe == "scorecard" else ()
    banks = ("alfa",) if recipe == "scorecard" else ("alfa", "beta")
    consortium = kit.build(
        tmp_path,
        banks,
        holders,
        enterprises=900,
        study=EXACT if recipe == "scorecard" else NETWORK,
        policy={"recipes": ["scorecard", "network"]},
    )
    without = take_labels(consortium, "alfa", 0.3)
    first = consortium.run(research_seed=2)
    table = consortium.tables["alfa"].copy()
    changed = table["id"].isin(without)
    table.loc[changed, "debt"], table.loc[changed, "late"], table.loc[changed, "grade"] = 900_000.0, 12.0, "C"
    consortium.tables["alfa"] = table
    consortium.write("alfa")
    second = consortium.run(research_seed=2)
    one, other = totals(first), totals(second)
    assert one.keys() == other.keys() and len(one) > 3
    for name, total in one.items():
        np.testing.assert_array_equal(total, other[name], err_msg=str(name))


def test_sums_are_those_of_the_rows_with_a_label(kit, tmp_path):
    """Label counts, calibration and evaluation against plain counting of the bank's own rows."""
    consortium = kit.build(tmp_path, enterprises=900, study=EXACT)
    take_labels(consortium, "alfa", 0.4)
    run = consortium.run(research_seed=2)
    scores, sums = run.scores("alfa"), totals(run)
    side = {name: part["label"] for name, part in scores.groupby("split")}
    for feature in np.split(sums["counts", "bank"], np.cumsum(run.sizes["bank"])[:-1]):
        assert feature.sum(0).tolist() == [side["training"].sum(), (1 - side["training"]).sum()]
    # A holder counts those that it knows in its columns' bins and the others in the last: all of them labelled rows.
    for feature in np.split(sums["counts", "tax"], np.cumsum(run.sizes["tax"])[:-1]):
        assert feature.sum(0).tolist() == [side["training"].sum(), (1 - side["training"]).sum()]
    assert sums["calibration", "bank"].sum(0).tolist() == [
        side["training"].sum(),
        (1 - side["training"]).sum(),
    ]
    held = sums["evaluation", "alfa"].sum(0).tolist()
    assert held == [side["holdout"].sum(), (1 - side["holdout"]).sum()]


def test_a_label_that_comes_changes_a_sum_by_one_row_and_nothing_else_that_others_see(kit, tmp_path):
    consortium = kit.build(tmp_path, enterprises=2500, study=EXACT)
    take_labels(consortium, "alfa", 0.3)
    first, sides = run_with_uses(consortium, research_seed=2)
    scores = first.scores("alfa")
    nobody = scores.loc[scores["split"] == "no label", "id"]
    comes = next(i for i in nobody if sides["alfa"][i] == 0)
    take_labels(consortium, "alfa", np.flatnonzero(consortium.tables["alfa"]["id"] == comes), 1)
    second, again = run_with_uses(consortium, research_seed=2)
    assert again == sides
    one, other = totals(first), totals(second)
    change = other["counts", "bank"] - one["counts", "bank"]
    features = len(first.sizes["bank"])
    assert change.sum() == np.square(change).sum() == features and np.abs(change).max() == 1
    for action, release in (("edges", None), ("mask", "counts"), ("mask", "gram"), ("score", None)):
        sizes = [
            {
                name: {k: len(bytes(v)) for k, v in p.blobs.items()}
                for name, p in run.step(action, release).answers.items()
            }
            for run in (first, second)
        ]
        assert sizes[0] == sizes[1], action


# --- nobody else learns who they are ------------------------------------------------------------------------


@pytest.mark.long
def test_the_order_of_rows_does_not_depend_on_who_has_a_label(kit, tmp_path):
    """Hub and holders see the order: sides by id are the same whoever has no label, in studies with privacy too."""
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), enterprises=1200)
    complete, sides = run_with_uses(consortium)
    without = take_labels(consortium, "alfa", 0.5)
    half, again = run_with_uses(consortium)
    assert again == sides and len(sides) == 2
    assert half.roster.training == complete.roster.training
    # All that is told of them is how many there are.
    rows = len(consortium.tables["alfa"])
    both = [rows - len(without), rows]
    assert half.told("order").get("labelled")["alfa"] == {"training": both, "holdout": both}


@pytest.mark.long
def test_sides_are_kept_for_all_so_that_a_label_that_comes_later_finds_its_side(kit, tmp_path):
    """Under a new key of pseudonyms the draw is another one; who was held out or not stays so, label or none."""
    consortium = kit.build(tmp_path, enterprises=1200)
    without = take_labels(consortium, "alfa", 0.5)
    _, before = run_with_uses(consortium)
    table = consortium.tables["alfa"]
    late = np.flatnonzero(table["id"].isin(without))
    take_labels(consortium, "alfa", late, 0)
    _, after = run_with_uses(consortium, consortium.with_study(alignment={"epoch": "next"}))
    assert after == before and set(before["alfa"].values()) == {0, 1}


@pytest.mark.parametrize("honest", sampled([False, True], 2))
def test_a_hub_that_trains_on_whom_it_likes_gets_nothing_of_rows_without_a_label(kit, tmp_path, honest):
    """It swaps the sides of rows without a label, the same for all members: no sum moves."""
    consortium = kit.build(tmp_path, enterprises=1200, study=EXACT)
    without = take_labels(consortium, "alfa", 0.4)
    moved = []

    def lie(run, step):
        if step.action != "edges":
            return
        attempt = Attempt(consortium.nodes["alfa"], consortium.nodes["alfa"].store.attempt(run.attempt))
        ids = attempt.read().ids[step.sent["alfa"].array("rows:alfa")]
        use = step.sent["alfa"].array("use:alfa").copy()
        mine = np.isin(ids, list(without)) if honest is False else np.zeros(len(ids), bool)
        # Only where the tax office does not know them either, so that no row of its own changes sides.
        mine &= step.sent["tax"].array("rows:alfa") < 0
        places = [np.flatnonzero(mine & (use == side)) for side in (0, 1)]
        count = min(map(len, places))
        use[places[0][:count]], use[places[1][:count]] = 1, 0
        moved.append(count)
        for member in step.sent:
            payload = step.sent[member]
            step.sent[member] = Payload(payload.body, {**payload.blobs, "use:alfa": use})
            digest = uses_digest(payload.array("salt:alfa"), use, None)
            retell(step, "order", lambda c, d=digest: c["uses"].update(alfa=d), members=[member])

    plain = totals(consortium.run(research_seed=2))
    lied = totals(consortium.run(research_seed=2, change=lie))
    assert (moved[0] > 10) is not honest
    for name, total in plain.items():
        np.testing.assert_array_equal(total, lied[name], err_msg=str(name))


def test_whether_a_bank_goes_on_does_not_tell_who_has_a_label(kit, tmp_path):
    """A hub trains on 120 rows of its choice and stops before a charge: one bit about their labels for nothing."""
    consortium = kit.build(tmp_path, ["alfa"], ["tax"], enterprises=1500, policy={"least_rows": 100})
    without = take_labels(consortium, "alfa", 0.4)
    heard = []

    def stop_after(labelled):
        def change(run, step):
            if step.action in ("describe", "blind", "evaluate", "pseudonyms"):
                return
            if step.action != "edges":
                heard.append("answered")
                raise InterruptedError
            attempt = Attempt(consortium.nodes["alfa"], consortium.nodes["alfa"].store.attempt(run.attempt))
            ids = attempt.read().ids[step.sent["alfa"].array("rows:alfa")]
            use = step.sent["alfa"].array("use:alfa").copy()
            free = use != HOLD_OUT
            chosen = np.flatnonzero(free & (np.isin(ids, list(without)) != labelled))[:120]
            use[free], use[chosen] = UNUSED, TRAINING
            for member, payload in step.sent.items():
                step.sent[member] = Payload(payload.body, {**payload.blobs, "use:alfa": use})
            digest = uses_digest(step.sent["alfa"].array("salt:alfa"), use, None)

            def counts(content):
                content["uses"]["alfa"] = digest
                content["training"]["alfa"] = content["sampled"]["alfa"] = 120

            retell(step, "order", counts)

        return change

    for labelled in (True, False):
        with pytest.raises((InterruptedError, PeerError)):
            consortium.run(change=stop_after(labelled))
    assert heard == ["answered", "answered"]


@pytest.mark.parametrize("numbers", sampled([[0, 5], [1, 1], [10**6, 10**6]], 2))
def test_other_numbers_of_labels_are_refused_before_anything_is_charged(kit, tmp_path, numbers):
    """By them sums become means, and noise a learning rate: a hub that makes them up is refused by the bank."""
    consortium = kit.build(tmp_path, enterprises=900)
    take_labels(consortium, "alfa", 0.3)

    def lie(run, step):
        retell(step, "order", lambda c: c["labelled"]["alfa"].update(training=numbers))

    with pytest.raises(PeerError, match="protocol"):
        consortium.run(change=lie)
    assert consortium.last.steps[-1].action == "edges"
    assert not spends(consortium)["alfa"]


def test_a_study_whose_labels_are_taken_for_complete_is_refused_by_the_bank(kit, tmp_path):
    """Where all rows have a label, all that are not positive count as negative: not where some have none."""
    consortium = kit.build(tmp_path, enterprises=900)
    take_labels(consortium, "alfa", 0.3)

    def lie(run, step):
        said = {"labelled": len(consortium.tables["alfa"])}
        retell(step, "members", lambda c: c["statements"]["alfa"].update(said))

    with pytest.raises(PeerError, match="protocol"):
        consortium.run(change=lie)
    assert not any(spends(consortium).values())


# --- several banks, dates, forms of labels ------------------------------------------------------------------


@pytest.mark.long
def test_an_enterprise_with_a_label_at_one_bank_and_none_at_the_other(kit, tmp_path):
    """It is scored at both, and adds to sums through the bank of the draw alone, where that one has its label."""
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), enterprises=1500, study=EXACT)
    both = set(consortium.tables["alfa"]["id"]) & set(consortium.tables["beta"]["id"])
    take_labels(consortium, "alfa", np.flatnonzero(consortium.tables["alfa"]["id"].isin(both)))
    run = consortium.run(research_seed=2)
    alfa, beta = (run.scores(bank).set_index("id") for bank in ("alfa", "beta"))
    assert both <= set(alfa.index) and both <= set(beta.index)
    assert (alfa.loc[sorted(both), "split"] == "no label").all()
    taught = beta.loc[sorted(both), "split"].isin(["training", "holdout"])
    assert 0.2 < taught.mean() < 0.6  # half of .8
    counted = totals(run)["counts", "bank"].sum() / len(run.sizes["bank"])
    assert counted == sum((part["split"] == "training").sum() for part in (alfa, beta))


@pytest.fixture
def by_date(kit, tmp_path):
    columns = {r: [*c, {"name": "day", "kind": "date", "feature": False}] for r, c in kit.COLUMNS.items()}
    return kit.build(
        tmp_path,
        enterprises=2500,
        columns=columns,
        dictionary={"as_of": "day"},
        policy={"out_of_time": True},
        study={"holdout": {"kind": "out_of_time", "from_date": "2024-01-01"}, **EXACT},
    )


def test_a_hold_out_by_date_with_loans_that_have_no_outcome_yet(by_date):
    """Most late rows have no label: the bank says how many on each side, and the figures are of those with one."""
    table = by_date.tables["alfa"]
    late = (table["day"] >= pd.Timestamp("2024-01-01")).to_numpy()
    young = np.flatnonzero(late)[: int(0.7 * late.sum())]
    take_labels(by_date, "alfa", young)
    run = by_date.run(research_seed=2)
    rows = run.results.rows
    assert rows.training == {"alfa": int((~late).sum())}
    assert rows.holdout == {"alfa": int(late.sum()) - len(young)}
    scores = run.scores("alfa").set_index("id")
    assert (scores.loc[table["id"].iloc[young], "split"] == "no label").all() and len(scores) == len(table)
    assert totals(run)["evaluation", "alfa"].sum() == rows.holdout["alfa"]
    node = run.nodes["alfa"]
    own = own_rows(node, own_results.find(node, run.attempt), own_results.Said())
    assert own.held_from == "2024-01-01" and own.research
    assert (
        own.day == scores.join(table.set_index("id")["day"])["day"].to_numpy().astype("datetime64[D]")
    ).all()
    periods = periods_of(own, "scorecard")
    assert sum(p.customers for p in periods) == len(table)
    assert sum(p.defaults for p in periods) == int(scores["label"].sum())


@pytest.mark.parametrize("side", ["before", "on or after"])
def test_a_side_of_a_date_without_any_label_is_refused_in_words(by_date, side):
    late = (by_date.tables["alfa"]["day"] >= pd.Timestamp("2024-01-01")).to_numpy()
    take_labels(by_date, "alfa", np.flatnonzero(late if side == "on or after" else ~late))
    with pytest.raises(PeerError, match="alfa"):
        by_date.run(research_seed=2)
    text = by_date.nodes["alfa"].store.errors.of(by_date.last.attempt)[-1]["text"]
    assert f"no row with a date {side} holdout.from_date = 2024-01-01 has a label" in text
    assert not any(spends(by_date).values())


def test_too_few_labels_are_too_few_rows(kit, tmp_path):
    """policy.least_rows is about rows that others learn from: a table of customers without labels has none."""
    consortium = kit.build(tmp_path, enterprises=900, policy={"least_rows": 400, "research": True})
    assert len(consortium.tables["alfa"]) > 500
    take_labels(consortium, "alfa", 0.9)
    with pytest.raises(PeerError, match="alfa"):
        consortium.run()
    text = consortium.nodes["alfa"].store.errors.of(consortium.last.attempt)[-1]["text"]
    assert "usable rows with a label, and policy.least_rows is 400" in text


@pytest.mark.parametrize("weight", sampled(["weight", None], 2))
def test_soft_and_weighted_labels_may_be_absent_too(kit, tmp_path, weight):
    label = {"column": "bad", "horizon": "a year", **({"weight": weight} if weight else {})}
    consortium = kit.build(tmp_path, enterprises=900, study=EXACT, label=label)
    without = take_labels(consortium, "alfa", 0.3)
    run = consortium.run(research_seed=2)
    scores = run.scores("alfa").set_index("id")
    assert scores["score"].notna().all() and (scores.loc[sorted(without), "split"] == "no label").all()
    training = scores[scores["split"] == "training"]
    mass = consortium.tables["alfa"].set_index("id")["weight"].reindex(training.index) if weight else 1.0
    expected = [float((training["label"] * mass).sum()), float(((1 - training["label"]) * mass).sum())]
    first = totals(run)["counts", "bank"][: run.sizes["bank"][0]].sum(0)
    assert first == pytest.approx(expected, abs=2.0)


# --- networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", sampled(["distributed", "silo"], 2))
def test_a_network_learns_from_rows_with_a_label_and_scores_all(kit, tmp_path, mode):
    study = {**NETWORK, "training": {"steps": 6, "mode": mode}}
    consortium = kit.build(
        tmp_path, ("alfa", "beta"), (), enterprises=2500, policy={"recipes": ["network"]}, study=study
    )
    complete = consortium.run(research_seed=2)
    without = {bank: take_labels(consortium, bank, 0.5) for bank in ("alfa", "beta")}
    half = consortium.run(research_seed=2)
    for bank in ("alfa", "beta"):
        scores = half.scores(bank).set_index("id")
        assert len(scores) == len(consortium.tables[bank]) and scores["probability"].between(0, 1).all()
        nobody = scores.index.isin(without[bank])
        assert (scores["split"] == "no label").to_numpy().tolist() == nobody.tolist()
    # Means are over rows with a label: steps are as long as with all labels, and not half as long.
    ratio = half.results.training.norms[0] / complete.results.training.norms[0]
    assert 0.8 < ratio < 1.25
    assert abs(half.results.auc - complete.results.auc) < 0.05
