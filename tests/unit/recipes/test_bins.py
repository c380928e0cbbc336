"""Bins of all columns: the same at hub and members from the same totals, and none that do not follow from them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.errors import ProtocolError
from fedrisk.models.binning import default_bin_count, edges_from_histogram, even_edges
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.bins import (
    BINS,
    CELLS_ROOM,
    FEWEST_CELLS,
    LEAST_ROOM,
    check_bins,
    choose_edges,
    drowned_edges,
    edge_room,
    find_bins,
    told_edges,
    training_rows,
)
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.releases.totals import released_sums, total_shapes
from support.studies import features, study

TRAINING, MU = 4000, 0.5


def setting(private=True):
    """Study, plan and features: x of the banks and of the tax office wants edges from a histogram."""
    columns = features() if private else [f for f in features() if not f.private_edges]
    small = study(banks=2, holders=("tax",))
    return small, make_plan(small, columns), columns


def histograms(plan, seed=0, rows=TRAINING):
    """Totals of the edge histograms: cells of falling size."""
    rng = np.random.default_rng(seed)
    totals = {}
    for name, (count, cells) in total_shapes(plan.release("edges")).items():
        share = np.linspace(2, 1, cells)
        totals[name] = rng.multinomial(rows, share / share.sum(), count).astype(float)
    return totals


def found(seed=0):
    small, plan, _ = setting()
    edges = released_sums(plan.release("edges"), histograms(plan, seed))
    return find_bins(small, plan, edges, TRAINING, MU)


def test_bins_come_from_each_roles_own_histogram():
    small, plan, columns = setting()
    totals = histograms(plan)
    edges = released_sums(plan.release("edges"), totals)
    bins = find_bins(small, plan, edges, TRAINING, MU)
    assert [b.feature for b in bins] == columns
    count = default_bin_count(TRAINING, MU, len(columns))
    for b in bins:
        if b.feature.private_edges:
            role = b.feature.institution
            variance = plan.release("edges").variance(role)
            assert b.edges == edges_from_histogram(totals[role][0], b.feature, variance, count)
        elif b.feature.kind == "number":
            assert b.edges == (1.0, 2.0)
    assert bins[0].edges != bins[3].edges


def test_a_study_may_say_how_many_bins():
    small, plan, _ = setting()
    edges = released_sums(plan.release("edges"), histograms(plan))
    few = small.model_copy(update={"bins": small.bins.model_copy(update={"count": 3})})
    assert (
        find_bins(few, plan, edges, TRAINING, MU)[0].size
        < find_bins(small, plan, edges, TRAINING, MU)[0].size
    )


def test_public_bins_need_no_histogram():
    small, plan, columns = setting(private=False)
    bins = find_bins(small, plan, None, TRAINING, MU)
    assert [b.feature for b in bins] == columns
    assert told_edges(plan, Payload(), TRAINING) is None


def chosen(training, mu_edges=0.05, columns=None):
    return choose_edges(study(), features() if columns is None else columns, training, mu_edges, 0.2)


def rows_of(room, cells, mu_edges=0.05):
    """Rows with which the two columns without public bins have that room."""
    return room / edge_room(1.0, mu_edges, 2, cells)


@pytest.mark.parametrize("cells", [256, 128, 64, 32])
def test_a_histogram_has_the_most_cells_with_room(cells):
    """By hand: 2 columns at mu .05 have noise 28.3 a cell and 453 over 256 cells, so 256 cells need 1,131 rows."""
    assert rows_of(CELLS_ROOM, 256) == pytest.approx(2.5 * 2**0.5 / 0.05 * 16)
    found = chosen(rows_of(CELLS_ROOM, cells) + 0.01)
    assert (found.cells, found.private, list(found.features)) == (cells, True, features())
    assert [f.code for f in found.findings] == (["fewer_cells"] if cells < 256 else [])
    if cells > FEWEST_CELLS:
        assert chosen(rows_of(CELLS_ROOM, cells) - 0.01).cells == cells // 2


def test_without_room_edges_are_even_and_public_and_it_is_said():
    enough, few = (chosen(rows_of(LEAST_ROOM, FEWEST_CELLS) + d) for d in (0.01, -0.01))
    assert (enough.private, enough.cells) == (True, FEWEST_CELLS)
    assert not few.private
    count = default_bin_count(round(rows_of(LEAST_ROOM, FEWEST_CELLS)), 0.2, 6)
    for before, after in zip(features(), few.features, strict=True):
        assert after == (before.with_bins(even_edges(before, count)) if before.private_edges else before)
    (found,) = few.findings
    assert (found.code, found.values["columns"], found.values["names"]) == ("even_edges", 2, "bank.x, tax.x")


def test_a_stated_number_of_bins_holds_for_even_edges_too():
    columns = [replace(f, bin_count=5) if f.private_edges else f for f in features()]
    assert [len(f.bins) for f in chosen(10.0, columns=columns).features if f.column == "x"] == [4, 4]


def test_no_edges_are_chosen_where_rows_are_not_known_or_bins_are_public():
    public = [f for f in features() if not f.private_edges]
    assert chosen(None).findings == () and chosen(None).features == tuple(features())
    assert chosen(5.0, columns=public).findings == ()


def test_a_plan_without_room_for_edges_spends_their_share_on_the_counts():
    asked = study()
    plan, poor = make_plan(asked, features(), 5000), make_plan(asked, features(), 200)
    assert plan.release("edges").blocks[0].shape == (1, 256)
    assert poor.find("edges") is None and [f.code for f in poor.findings] == ["even_edges"]
    assert poor.mu("counts") > plan.mu("counts")
    assert poor.price == plan.price
    bins = find_bins(asked, poor, None, 140, poor.mu("counts"))
    assert bins[0].edges == tuple(poor.features[0].bins)
    assert bins == check_bins(bins, as_told(bins))
    coarse = make_plan(asked, features(), 600)
    assert coarse.release("edges").blocks[0].shape[1] < 256


def test_rows_are_the_fewer_of_stated_and_declared_ones():
    """By hand: two banks include .8 of the enterprises, and .7 of these are trained on."""
    two = study(banks=2)
    assert training_rows(two, 1000) == pytest.approx(560)
    assert training_rows(two, None) is None and training_rows(two, 0) is None
    declared = two.model_copy(update={"expected": two.expected.model_copy(update={"enterprises": 500})})
    assert [training_rows(declared, n) for n in (None, 1000, 250)] == pytest.approx([280, 280, 140])


def test_histograms_of_few_values_are_named():
    _, plan, _ = setting()
    totals = histograms(plan)
    assert drowned_edges(plan, None) == ()
    assert drowned_edges(plan, released_sums(plan.release("edges"), totals)) == ()
    totals["tax"] *= 0.0
    (found,) = drowned_edges(plan, released_sums(plan.release("edges"), totals))
    assert (found.code, found.values) == ("edges_drowned", {"columns": 1, "names": "tax.x"})


def test_told_histograms_are_read_as_the_hub_reads_them():
    _, plan, _ = setting()
    totals = histograms(plan)
    told = told_edges(plan, Payload({}, totals), TRAINING)
    assert {b.name: (b.total.tolist(), b.variance) for b in told.blocks} == {
        n: (t.tolist(), plan.release("edges").variance(n)) for n, t in totals.items()
    }


def test_histograms_of_a_study_without_any_are_refused():
    _, plan, _ = setting(private=False)
    with pytest.raises(ProtocolError, match="tells histograms of a study whose bins are public"):
        told_edges(plan, Payload({}, {"bank": np.zeros((1, 128))}), TRAINING)


@pytest.mark.parametrize("change", ["missing", "shape", "more rows than there are", "negative", "nan"])
def test_histograms_that_cannot_be_are_refused(change):
    _, plan, _ = setting()
    totals = histograms(plan)
    deviation = np.sqrt(plan.release("edges").variance("bank"))
    if change == "missing":
        del totals["tax"]
    elif change == "shape":
        totals["bank"] = totals["bank"][:, 1:].copy()
    else:
        bad = {
            "more rows than there are": TRAINING + 26 * deviation,
            "negative": -26 * deviation,
            "nan": np.nan,
        }
        totals["bank"][0, 5] = bad[change]
    with pytest.raises(ProtocolError, match="totals of release edges"):
        told_edges(plan, Payload({}, totals), TRAINING)


def as_told(bins):
    """Bins after they travelled."""
    return json.loads(json.dumps([b.to_dict() for b in bins]))


def test_bins_that_follow_are_taken_as_they_are_told():
    """To the last digit as the hub has them: machines differ in that, and bins must not."""
    bins = found()
    told = as_told(bins)
    BINS.check(Payload({"bins": told}), "part bins")
    assert check_bins(bins, told) == bins
    told[0]["edges"] = [e * (1 + 1e-12) for e in told[0]["edges"]]
    taken = check_bins(bins, told)
    assert taken[0].edges == tuple(told[0]["edges"]) != bins[0].edges
    assert taken[1:] == bins[1:]


def moved(told):
    told[0]["edges"][2] += 1e-4


def split(told):
    told[0]["edges"].append(told[0]["high"] - 1e-6)


def fewer(told):
    told[0]["edges"] = told[0]["edges"][:-1]


def one_alone(told):
    """A bin of a narrow range, in which a single enterprise may stand."""
    told[1]["edges"] = [1.0, 1.0000001]


def another_bound(told):
    told[3]["high"] = 2.0


def another_rule(told):
    told[0]["missing"] = not told[0]["missing"]


def another_owner(told):
    told[3]["institution"] = "bank"


def another_bin(told):
    """A bin for unknown ones is no one's to add to a column."""
    told[3]["unknown"] = True


def left_out(told):
    del told[4]


def twice(told):
    told.append(told[4])


def turned(told):
    told[0], told[1] = told[1], told[0]


@pytest.mark.parametrize(
    "change",
    [
        moved,
        split,
        fewer,
        one_alone,
        another_bound,
        another_rule,
        another_owner,
        another_bin,
        left_out,
        twice,
        turned,
    ],
)
def test_bins_that_do_not_follow_are_refused(change):
    bins = found()
    told = as_told(bins)
    change(told)
    with pytest.raises(ProtocolError, match="not those that follow from the released histograms"):
        check_bins(bins, told)


def test_bins_of_other_histograms_are_refused():
    with pytest.raises(ProtocolError, match="not those that follow"):
        check_bins(found(), as_told(found(seed=1)))


def test_categories_in_another_order_are_refused():
    from fedrisk.data.features import Feature
    from fedrisk.models.binning import Bins

    own = Bins.public(Feature(institution="bank", column="grade", kind="category", bins=("A", "B", "C")))
    assert check_bins([own], as_told([own])) == [own]
    with pytest.raises(ProtocolError, match="not those that follow"):
        check_bins([own], as_told([replace(own, categories=("B", "A", "C"))]))


@pytest.mark.parametrize(
    "change",
    [
        {"edges": [float("nan")]},
        {"edges": ["1"]},
        {"edges": None},
        {"kind": "text"},
        {"more": 1},
        {"edges": [0.0] * 4097},
    ],
)
def test_the_form_of_the_part(change):
    told = as_told(found())
    told[0] = {**told[0], **change}
    with pytest.raises(ProtocolError, match="part bins"):
        BINS.check(Payload({"bins": told}), "part bins")


@pytest.mark.parametrize("edges", [[0.5, 0.2], [0.2, 0.2]])
def test_edges_that_do_not_rise_are_an_error_of_the_package(edges):
    """Never a crash: whatever a part says, the node refuses with a code."""
    from fedrisk.errors import FedriskError

    told = as_told(found())
    told[0]["edges"] = edges
    with pytest.raises(FedriskError):
        check_bins(found(), told)
