"""A hub that lies, alone: what it tells one member otherwise, or all of them, and what it gets for it.

Every attack plays on the real handlers. It has to be refused with a generic code, before anything is charged for the
exchange that the lie is about; where the refusal comes later, what the hub got has to be noise of random numbers.
"""

import numpy as np
import pytest

from fedrisk.attacks import hub_lies
from fedrisk.attacks.lies import part, retell, spends
from fedrisk.errors import PeerError
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.fitting import calibrate
from fedrisk.releases.record import ReleasedBlock, ReleasedSums
from support.long import sampled

pytestmark = pytest.mark.study
NOT_FINITE = [float("nan"), float("inf"), float("-inf"), 1e300]


def refused(consortium, change, codes=("protocol",), **how):
    """The study stops by refusal with one of these codes; the text that the hub sees names no more than that."""
    with pytest.raises(PeerError) as caught:
        consortium.run(change=change, **how)
    text = str(caught.value)
    assert any(f"({code})" in text for code in codes), text
    return consortium.last.steps[-1].action


# --- numbers that are no numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", sampled(NOT_FINITE, 2))
@pytest.mark.parametrize(("action", "name"), [("mask", "counts"), ("score", "card")])
def test_totals_that_are_no_numbers_are_refused_before_anything_is_computed(
    kit, tmp_path, action, name, value
):
    """NaN in a curve became -2^63 in a shape row, its square 0, and noise no longer hid the parity of a count."""
    consortium = kit.build(tmp_path, enterprises=900)
    assert refused(consortium, hub_lies.totals_that_are_none(action, name, value)) == action
    last = {"mask": {"gram", "recount", "evaluation"}, "score": {"evaluation"}}[action]
    assert not any(last & made for made in spends(consortium).values())


@pytest.mark.parametrize("value", sampled(NOT_FINITE, 2))
@pytest.mark.parametrize("field", ["bases", "radii"])
def test_bases_and_radii_that_do_not_follow_are_refused(kit, tmp_path, field, value):
    consortium = kit.build(tmp_path, enterprises=900)
    told = []

    def lie(run, step):
        def change(content):
            told.append(content.get(field) is not None)
            if field == "bases":
                content["bases"][0][0][0] = value
            else:
                content["radii"]["tax"] = value

        if step.action == "mask":
            retell(step, "counts", change)

    assert refused(consortium, lie) == "mask"
    assert told and all(told)
    assert not any({"gram", "recount"} & made for made in spends(consortium).values())


def test_a_small_radius_for_another_member_gives_no_smaller_noise(kit, tmp_path):
    """Noise of the Gram matrix follows from all radii: a member that trusts the hub for them adds too little."""
    consortium = kit.build(tmp_path, enterprises=900)
    assert refused(consortium, hub_lies.small_radii(1 / 50)) == "mask"
    assert not any("gram" in made for made in spends(consortium).values())


# --- scores -------------------------------------------------------------------------------------------------


def test_points_that_number_a_holders_bins_give_no_scores(kit, tmp_path):
    """Points 1, 6, 36, ... by bin: their sum names the bin of every column."""
    consortium = kit.build(tmp_path, holders=("tax", "power"))
    assert refused(consortium, hub_lies.points_as_digits(), ("protocol", "config")) == "score"
    assert not any("evaluation" in made for made in spends(consortium).values())


@pytest.mark.long
def test_totals_chosen_to_make_points_telling_leave_few_values(kit, tmp_path):
    """Nobody can check the hub's totals: what follows from any of them has at most 512 values."""
    consortium = kit.build(tmp_path, holders=("tax", "power"), enterprises=2500)
    rng = np.random.default_rng(5)

    def lie(run, step):
        def change(block, total):
            # A default rate of its own for every bin, so that points differ as much as they can.
            rows = np.abs(total).sum(1, keepdims=True)
            share = rng.random(len(total))[:, None]
            return np.hstack([rows * share, rows * (1 - share)])

        if step.action == "mask":
            retell(step, "counts", blobs=change)

    with pytest.raises(PeerError, match="protocol"):
        # Bases and radii do not follow from the totals that the hub makes up, and it cannot have both its way.
        consortium.run(change=lie)


def test_a_second_holder_with_one_column_does_not_switch_bands_off(kit, tmp_path):
    columns = {**kit.COLUMNS, "power": kit.COLUMNS["power"][-1:]}
    consortium = kit.build(
        tmp_path,
        holders=("tax", "power"),
        columns=columns,
        policy={"scores": "bands", "research": True},
    )
    run = consortium.run()
    tax = run.card["bins"].index(next(b for b in run.card["bins"] if b["institution"] == "tax"))
    assert run.card["points"][tax]
    sums = run.scores("alfa")["external_points"]
    # At most sixteen bands of each holder.
    assert sums.nunique() <= 10 * 10
    points = consortium.content  # the same study with points gives more
    for name in ("tax", "power"):
        points[name]["policy"] = {**points[name]["policy"], "scores": "points"}
        consortium.write(name)
    assert consortium.run().scores("alfa")["external_points"].nunique() > sums.nunique()


@pytest.mark.long
def test_bands_stay_few_whatever_rows_there_are(kit, tmp_path):
    """A row less makes another card, and its bands are judged against that card's own; see also test_audited_privacy."""
    consortium = kit.build(tmp_path, policy={"scores": "bands", "research": True}, enterprises=2500)
    first = consortium.run(research_seed=3)
    scores = first.scores("alfa").set_index("id")
    given = {}
    for number in range(3):
        table = consortium.tables["tax"]
        known = table["id"].isin(scores.index[scores["split"] == "training"])
        gone = table.index[known][number]
        consortium.tables["tax"] = table.drop(index=gone)
        consortium.write("tax")
        # The card is made anew from other counts; bands are judged against the card's own.
        run = consortium.run(research_seed=3)
        given[number] = run.scores("alfa").set_index("id")["external_points"].nunique()
        consortium.tables["tax"] = table
        consortium.write("tax")
    assert all(n <= 10 for n in given.values())


# --- members are told different things ----------------------------------------------------------------------


def test_a_research_run_told_to_four_of_five_banks(kit, tmp_path):
    """Four banks whose noise is seeded, the fifth not: the hub takes four noises off."""
    consortium = kit.build(tmp_path, kit.BANKS[:3], (), enterprises=900)
    with pytest.raises(PeerError, match="protocol"):
        consortium.run(change=hub_lies.research_for_all_but_one)
    assert not any(spends(consortium).values())


def test_a_research_run_with_a_roster_for_each_member(kit, tmp_path):
    """The same lie kept up in the common view, to each member as it was told: the others do not confirm."""
    consortium = kit.build(tmp_path, kit.BANKS[:3], (), enterprises=900)
    assert refused(consortium, hub_lies.two_kinds_of_run(consortium)) == "evaluate"
    assert not any(spends(consortium).values())


@pytest.mark.parametrize("what", sampled(["features", "rows", "label"], 2))
def test_a_statement_changed_on_the_way(kit, tmp_path, what):
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), enterprises=900)
    # Not to alfa itself, which would see it at once.
    lie = hub_lies.other_statement("alfa", what, ["beta", "tax"])
    action = refused(consortium, lie, ("protocol", "config"))
    assert action in ("blind", "evaluate", "pseudonyms")
    assert not any(spends(consortium).values())


@pytest.mark.parametrize("whom", sampled([["alfa"], ["tax"]], 2))
def test_training_and_hold_out_swapped_for_one_side(kit, tmp_path, whom):
    """An enterprise that one side trains on and the other holds out would be paid for once and used twice."""
    consortium = kit.build(tmp_path, enterprises=900)
    assert refused(consortium, hub_lies.other_uses(whom)) == "mask"
    assert not any({"counts", "evaluation"} & made for made in spends(consortium).values())


@pytest.mark.long
def test_rows_of_other_enterprises_get_no_scores(kit, tmp_path):
    """The hub names, at places of a bank's list, rows of enterprises that are not the bank's customers."""
    consortium = kit.build(tmp_path)
    assert refused(consortium, hub_lies.rows_of_others()) == "mask"
    assert not any({"gram", "recount", "evaluation"} & made for made in spends(consortium).values())


def test_an_order_that_does_not_fit_the_other_sides(kit, tmp_path):
    consortium = kit.build(tmp_path, enterprises=900)
    assert refused(consortium, hub_lies.order_that_does_not_fit()) == "mask"
    assert not any({"gram", "recount", "evaluation"} & made for made in spends(consortium).values())


def test_one_training_row_is_refused(kit, tmp_path):
    """All rows but one held out: the sums of one enterprise."""
    consortium = kit.build(tmp_path, enterprises=900)
    assert refused(consortium, hub_lies.one_training_row(), ("policy", "refused", "protocol")) == "edges"
    assert not any(spends(consortium).values())


def test_banks_that_are_told_other_totals_make_a_sum_of_random_numbers(kit, tmp_path):
    """Without holders, totals come in the very message that asks for the next release: masks are bound to them."""
    consortium = kit.build(tmp_path, kit.BANKS[:2], (), enterprises=900)

    def lie(run, step):
        def change(block, total):
            total.flat[0] += 1e-3
            return total

        if step.action == "release" and part(next(iter(step.sent.values())), "counts"):
            # Too little to change what follows, but for one member's view.
            retell(step, "counts", blobs=change, members=["alfa"])

    with pytest.raises(PeerError, match="protocol"):
        consortium.run(change=lie)
    step = next(
        s for s in consortium.last.steps if s.action == "release" and "gram" in str(dict(s.sent["alfa"].body))
    )
    if all(a.refusal is None for a in step.answers.values()):
        total = np.sum([a.array("bank") for a in step.answers.values()], axis=0, dtype=np.uint64)
        # Uniform 64-bit numbers are all but never as small as sums of a few thousand rows.
        assert np.abs(total.view(np.int64)).min() > 2**40


def other_calibration(run, step, move, members=None):
    """Tell another calibration histogram, and the card that follows from it, which only the histogram gives away."""
    (told,) = [p.content for p in run._parts if p.name == "calibration"]
    (before,) = [p.content for p in run._parts if p.name == "card"]
    total = told.array("bank").copy()
    move(total)
    block = ReleasedBlock(name="bank", left="bank", right="bank", total=total, variance=run.variance)
    histogram = ReleasedSums(name="calibration", population="training", mu=1.0, blocks=(block,))
    card = calibrate(Scorecard.from_json(before.get("scorecard")), histogram)
    said = {"scorecard": card.to_json()}
    return retell(step, "calibration", lambda c: c.update(said), lambda *_: total, members)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("banks", [1, 2])
def test_a_calibration_that_one_bank_is_told_otherwise(kit, tmp_path, monkeypatch, banks):
    """A bank alone knows its histogram. Of two, each may be told another one: the hold-out is a random sum then."""
    consortium = kit.build(tmp_path, kit.BANKS[:banks], enterprises=900)

    def keep(card, released, rounded=None):
        consortium.last.variance = released.block("bank").variance
        return calibrate(card, released, rounded)

    monkeypatch.setattr("fedrisk.recipes.scorecard.hub.calibrate", keep)

    def lie(run, step):
        def move(total):
            total[:, 0] *= 0.5

        if step.action == "deliver":
            assert other_calibration(run, step, move, ["alfa"]) == ["alfa"]

    if banks == 1:
        assert refused(consortium, lie) == "deliver"
        assert not any("evaluation" in made for name, made in spends(consortium).items() if name == "alfa")
        return
    answers = consortium.run(change=lie).step("deliver").answers
    total = np.sum([a.array("bank") for a in answers.values()], axis=0, dtype=np.uint32).view(np.int32)
    # Uniform 32-bit numbers: some are beyond all that 1,500 rows and noise can make, in 256ths.
    assert np.abs(total.astype(np.int64)).max() > 2**28


def test_budget_is_not_spent_on_envelopes_that_do_not_open(kit, tmp_path):
    consortium = kit.build(tmp_path, enterprises=900)
    assert refused(consortium, hub_lies.broken_envelope(), ("envelope",)) == "release"
    assert "counts" not in spends(consortium)["tax"]


def test_rows_without_pseudonyms_are_not_checked(kit, tmp_path, monkeypatch):
    """A hub that leaves the alignment out: all rows would have one and the same hash, and fit any others."""
    from fedrisk.server import roster

    consortium = kit.build(tmp_path, enterprises=900)
    honest = consortium.run()
    places = dict(honest.roster.lists)

    def made_up(exchange, study, hub, agreed, research_seed, sample_rows=None):
        own = roster.align

        def skip(action, what, content):
            if action in ("evaluate", "pseudonyms"):
                raise StopIteration
            return type(exchange).__call__(exchange, action, what, content)

        with pytest.raises(StopIteration):
            own(_Skipping(exchange, skip), study, hub, agreed, research_seed, sample_rows)
        return roster.Roster(study, research_seed, agreed, places, honest.roster.given)

    monkeypatch.setitem(consortium.run.__func__.__globals__, "align", made_up)
    study = consortium.with_study(alignment={"epoch": "fresh"})
    with pytest.raises(PeerError, match="protocol"):
        consortium.run(study)
    assert consortium.last.steps[-1].action == "mask"
    made = {
        e.spend.release
        for e in consortium.nodes["tax"].ledger.entries()
        if e.spend.attempt == consortium.last.attempt
    }
    assert not made & {"counts", "gram", "evaluation"}


class _Skipping:
    """An exchange of which some actions are never asked."""

    def __init__(self, exchange, call):
        self._exchange, self._call = exchange, call

    def __getattr__(self, name):
        return getattr(self._exchange, name)

    def __call__(self, action, what, content):
        return self._call(action, what, content)
