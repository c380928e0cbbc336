"""From released numbers to a card: the hub's run and a later fit from its record give the same card."""

import dataclasses

import numpy as np
import pytest

from fedrisk.analysis.card_sums import (
    columns_of,
    combine_recount,
    curves_of,
    gram_matrix,
    label_counts,
    sizes_of,
)
from fedrisk.analysis.contribution import contributions
from fedrisk.data.features import KNOWN
from fedrisk.errors import ConfigError, ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves
from fedrisk.models.label_counts import LabelCounts
from fedrisk.recipes.scorecard.fitting import (
    LEAST_RADIUS,
    Facts,
    calibrate,
    card_bins,
    fit_card,
    owners_of,
    refit,
    second_release,
)
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.study import NO_PRIVACY
from support.studies import features, study

pytestmark = pytest.mark.slow


def released(name, *blocks):
    made = tuple(
        ReleasedBlock(name=n, left=left, right=right, total=np.array(total, float), variance=variance)
        for n, left, right, total, variance in blocks
    )
    return ReleasedSums(name=name, population="training", mu=1.0, blocks=made)


@pytest.mark.parametrize("kind", ["private", "research"])
def test_the_card_of_a_run_is_fitted_again_from_its_record(finished, kind):
    results = finished[kind]
    assert refit(results.record) == results.card
    assert refit(results.record).to_json() == results.card.to_json()
    assert refit(results.record).notice == (NO_PRIVACY if kind == "research" else None)


def test_the_same_card_after_the_record_was_on_the_disk(finished, tmp_path):
    results = finished["private"]
    results.record.save(tmp_path)
    assert refit(ReleaseRecord.load(tmp_path)).to_json() == results.card.to_json()


def test_other_numbers_give_another_card(finished):
    """The card comes from the record and from nothing else."""
    record = finished["private"].record
    counts = record.release("counts")
    first = counts.blocks[0]
    blocks = (dataclasses.replace(first, total=first.total[::-1].copy()), *counts.blocks[1:])
    other = record.with_release(dataclasses.replace(counts, blocks=blocks))
    assert refit(other).to_json() != finished["private"].card.to_json()


def test_a_record_without_counts_is_of_another_recipe(finished):
    record = dataclasses.replace(finished["private"].record, releases=())
    with pytest.raises(ConfigError, match="the record has no release counts"):
        refit(record)


def test_label_counts_by_hand():
    """Roles in the order of the study, features one after the other within a block."""
    sums = released(
        "counts",
        ("tax", "tax", "bank", [[7, 8]], 4.0),
        ("bank", "bank", "bank", [[1, 2], [3, 4], [5, 6]], 9.0),
    )
    counts = label_counts(sums, {"bank": [2, 1], "tax": [1], "power": []})
    assert [n.tolist() for n in counts.n1] == [[1, 3], [5], [7]]
    assert [n.tolist() for n in counts.n0] == [[2, 4], [6], [8]]
    assert counts.variance.tolist() == [9.0, 9.0, 4.0]


def test_sizes_by_role(finished):
    bins = [Bins.from_dict(b) for b in finished["private"].record.release("counts").about["bins"]]
    sizes = sizes_of(bins, ["bank", "tax", "power", "nobody"])
    assert [len(sizes[r]) for r in sizes] == [2, 2, 1, 0]
    # Whether a holder knows an enterprise is made up from the counts of its columns.
    assert [b.feature.kind == "known" for b in bins] == [False, False, False, False, True, False, True]
    assert [b.size for b in columns_of(bins)] == [*sizes["bank"], *sizes["tax"], *sizes["power"]]


def test_the_gram_matrix_by_hand():
    """Bank: features of 2 and 1 columns; tax: one column. Entries within a feature are never released."""
    bases = [np.zeros((3, 2)), np.zeros((3, 1)), np.zeros((2, 1))]
    sums = released(
        "gram",
        ("bank", "bank", "bank", [5, 6], 4.0),
        ("tax.bank", "tax", "bank", [[7, 8, 9]], 16.0),
    )
    found = gram_matrix(sums, bases, ["bank", "bank", "tax"], share=2.0)
    assert found.gram.tolist() == [
        [0, 0, 10, 14],
        [0, 0, 12, 16],
        [10, 12, 0, 18],
        [14, 16, 18, 0],
    ]
    assert found.variance.tolist() == [
        [0, 0, 16, 64],
        [0, 0, 16, 64],
        [16, 16, 0, 64],
        [64, 64, 64, 0],
    ]


# --- the second release -------------------------------------------------------------------------------------


def after_counts(rows=3000, rate=0.2, labelled=None):
    """Facts, bins, counts and curves of six features at the banks and at the tax office."""
    small = study(banks=2, holders=("tax",))
    columns = features()
    bins = [Bins(f, edges=(0.2, 0.5, 0.7)) if f.private_edges else Bins.public(f) for f in columns]
    rng = np.random.default_rng(2)
    n1, n0 = [], []
    for b in bins:
        share = rng.dirichlet(np.full(b.size, 20.0))
        risk = np.clip(rate * (1 + 0.5 * rng.normal(size=b.size)), 0.001, 0.9)
        n1.append(rows * share * risk)
        n0.append(rows * share * (1 - risk))
    counts = LabelCounts(tuple(n1), tuple(n0), np.full(len(bins), 4.0))
    facts = Facts(
        study=small,
        plan=make_plan(small, columns),
        training=rows,
        sampled=rows // 2,
        labelled=rows if labelled is None else labelled,
        weighted=False,
        binary=True,
    )
    return facts, bins, counts, fit_curves(counts, bins)


def as_told(second):
    """What the hub tells of it, as it travels."""
    if second.chosen is not None:
        return {"chosen": second.chosen}
    return {"bases": [b.tolist() for b in second.bases], "radii": dict(second.radii)}


def test_the_second_release_is_a_gram_matrix_where_positives_suffice():
    facts, *given = after_counts()
    second = second_release(facts, *given)
    assert second.release.name == "gram" and second.chosen is None
    assert set(second.radii) == {"bank", "tax"} and min(second.radii.values()) >= LEAST_RADIUS
    assert second.share == 2.0  # half of the rows stand for all
    assert second.release.mu == facts.plan.mu("gram")
    bases = [b.tolist() for b in second.bases]
    assert second.about == {"share": 2.0, "radii": second.radii, "bases": bases}


def test_where_customers_have_no_label_entries_of_banks_and_of_holders_have_a_scale_each():
    """A bank leaves them out, a holder cannot: 2,000 of 3,000 rows have a label, half of all are in the sample."""
    facts, *given = after_counts(labelled=2000)
    second = second_release(facts, *given)
    assert second.share == pytest.approx(2000 / 1500) and second.bank_share == pytest.approx(2.0)
    scales = {"share": second.share, "bank_share": second.bank_share, "radii": second.radii}
    assert {k: v for k, v in second.about.items() if k != "bases"} == scales
    facts, *given = after_counts()
    assert second_release(facts, *given).bank_share == second_release(facts, *given).share


def test_a_scale_of_its_own_for_entries_of_banks():
    bases = [np.zeros((3, 1)), np.zeros((3, 1)), np.zeros((2, 1)), np.zeros((2, 1))]
    sums = released(
        "gram",
        ("bank", "bank", "bank", [5], 4.0),
        ("tax", "tax", "tax", [6], 4.0),
        ("tax.bank", "tax", "bank", [[7, 8], [9, 10]], 4.0),
    )
    found = gram_matrix(sums, bases, ["bank", "bank", "tax", "tax"], share=2.0, bank_share=3.0)
    assert (
        found.gram[0, 1] == 15
        and found.gram[2, 3] == 12
        and found.gram[2:, :2].tolist() == [[21, 24], [27, 30]]
    )
    assert found.variance[0, 1] == 36 and found.variance[2, 3] == 16 and found.variance[2, 0] == 36


def test_the_second_release_is_a_count_of_the_stronger_features_where_positives_are_few():
    facts, *given = after_counts(rows=200)
    second = second_release(facts, *given)
    assert second.release.name == "recount"
    assert sum(map(len, second.chosen.values())) == 4
    assert all(places == sorted(places) for places in second.chosen.values())
    assert second.about == {"chosen": second.chosen}


def alike(one, other):
    return one.release == other.release and as_told(one) == as_told(other)


def test_what_is_told_of_it_is_taken_to_the_last_digit():
    """Machines differ in the last digits and in the signs of modes; one shape row must be one everywhere."""
    facts, *given = after_counts()
    own = second_release(facts, *given)
    assert alike(second_release(facts, *given, as_told(own)), own)
    told = as_told(own)
    told["radii"] = {r: v * (1 + 1e-9) for r, v in own.radii.items()}
    told["bases"] = [[[v * (1 + 1e-9) for v in row] for row in b] for b in told["bases"]]
    assert any(len(row) > 1 for b in told["bases"] for row in b)
    told["bases"] = [[[row[0], *(-v for v in row[1:])] for row in b] for b in told["bases"]]
    taken = second_release(facts, *given, told)
    assert as_told(taken) == told != as_told(own)


def curve_turned(told):
    """The sign of a curve says where the risk is."""
    told["bases"][0] = [[-row[0], *row[1:]] for row in told["bases"][0]]


def one_bin_alone(told):
    told["bases"][0] = [[float(k == 0), *row[1:]] for k, row in enumerate(told["bases"][0])]


def modes_turned(told):
    """As eigenvectors of nearly equal eigenvalues may be on another machine; norms of rows stay."""
    place = next(j for j, b in enumerate(told["bases"]) if len(b[0]) > 2)
    told["bases"][place] = [
        [row[0], (row[1] + row[2]) * 0.5**0.5, (row[1] - row[2]) * 0.5**0.5, *row[3:]]
        for row in told["bases"][place]
    ]


def modes_longer(told):
    place = next(j for j, b in enumerate(told["bases"]) if len(b[0]) > 2)
    told["bases"][place] = [[row[0], *(1.001 * v for v in row[1:])] for row in told["bases"][place]]


def a_mode_less(told):
    place = next(j for j, b in enumerate(told["bases"]) if len(b[0]) > 1)
    told["bases"][place] = [row[:-1] for row in told["bases"][place]]


def a_feature_less(told):
    del told["bases"][-1]


def radius_larger(told):
    told["radii"]["tax"] *= 1.001


def radius_smaller(told):
    told["radii"]["bank"] *= 0.999


def radius_missing(told):
    del told["radii"]["tax"]


def radius_more(told):
    told["radii"]["power"] = 1.0


def no_bases(told):
    del told["bases"]


def chosen_instead(told):
    told.clear()
    told["chosen"] = {"bank": [0], "tax": [0]}


@pytest.mark.parametrize(
    "change",
    [
        curve_turned,
        one_bin_alone,
        modes_longer,
        a_mode_less,
        a_feature_less,
        radius_larger,
        radius_smaller,
        radius_missing,
        radius_more,
        no_bases,
        chosen_instead,
    ],
)
def test_what_does_not_follow_is_refused(change):
    facts, *given = after_counts()
    told = as_told(second_release(facts, *given))
    change(told)
    with pytest.raises(ProtocolError, match="does not follow from the label counts"):
        second_release(facts, *given, told)


@pytest.mark.parametrize("told", [{}, {"chosen": {"bank": [0], "tax": []}}, {"bases": [], "radii": {}}])
def test_other_features_than_the_stronger_ones_are_not_counted_again(told):
    facts, *given = after_counts(rows=200)
    own = second_release(facts, *given)
    assert alike(second_release(facts, *given, as_told(own)), own)
    with pytest.raises(ProtocolError, match="does not follow from the label counts"):
        second_release(facts, *given, told)


def test_modes_may_be_turned_among_themselves():
    facts, *given = after_counts()
    own = second_release(facts, *given)
    told = as_told(own)
    modes_turned(told)
    taken = second_release(facts, *given, told)
    for mine, theirs in zip(own.bases, taken.bases, strict=True):
        assert np.allclose((mine**2).sum(1), (theirs**2).sum(1))
    assert taken.radii == pytest.approx(own.radii)


# --- what a holder does not know -----------------------------------------------------------------------------


def test_bins_of_a_card_by_hand():
    """Holders' columns get a bin for unknown enterprises, and each holder says whether it knows them."""
    columns = [Bins(f, edges=(0.5,)) if f.private_edges else Bins.public(f) for f in features()]
    second = [
        dataclasses.replace(b, feature=dataclasses.replace(b.feature, institution="power"))
        for b in columns[3:]
    ]
    bins = card_bins([*columns, *second])
    assert [(b.feature.institution, b.feature.column, b.unknown) for b in bins] == [
        *(("bank", c, False) for c in ("x", "y", "late")),
        *(("tax", c, True) for c in ("x", "y", "late", KNOWN)),
        *(("power", c, True) for c in ("x", "y", "late", KNOWN)),
    ]
    assert [dataclasses.replace(b, unknown=False) for b in columns_of(bins)] == [*columns, *second]
    assert sizes_of(bins, ["bank", "tax", "power"]) == {
        "bank": [3, 4, 3],
        "tax": [4, 5, 4],
        "power": [4, 5, 4],
    }
    assert card_bins(columns[:3]) == columns[:3]
    assert card_bins([]) == []


def holder_counts(rows=200, known=0.5, rate=0.2):
    """Facts, card's bins and counts of the columns: a bank's three, and three of a holder that knows a half."""
    small, columns = study(banks=2, holders=("tax",)), features()
    bins = card_bins([Bins(f, edges=(0.2, 0.5, 0.7)) if f.private_edges else Bins.public(f) for f in columns])
    rng = np.random.default_rng(2)
    n1, n0 = [], []
    for b in columns_of(bins):
        share = rng.dirichlet(np.full(b.known, 20.0))
        share = np.append(share * known, 1 - known) if b.unknown else share
        risk = np.clip(rate * (1 + 0.5 * rng.normal(size=b.size)), 0.001, 0.9)
        n1.append(rows * share * risk)
        n0.append(rows * share * (1 - risk))
    counts = LabelCounts(tuple(n1), tuple(n0), np.full(len(n1), 4.0))
    facts = Facts(
        study=small,
        plan=make_plan(small, columns),
        training=rows,
        sampled=rows,
        labelled=rows,
        weighted=False,
        binary=True,
    )
    return facts, bins, counts, curves_of(counts, bins)


def test_columns_alone_are_counted_and_counted_again():
    facts, bins, counts, curves = holder_counts()
    assert len(curves.curve) == len(bins) == 7 and len(counts.n1) == 6
    assert facts.counts(bins).block("tax").shape == (sum(b.size for b in bins[3:6]), 1)
    second = second_release(facts, bins, counts, curves)
    chosen = second.chosen
    assert sum(map(len, chosen.values())) == 4 and max(chosen["tax"]) <= 2
    sizes = sizes_of(bins, ["bank", "tax"])
    again = released(
        "recount",
        *(
            (role, role, "bank", [[8.0, 16.0]] * sum(sizes[role][j] for j in own), 4.0)
            for role, own in chosen.items()
        ),
    )
    both = combine_recount(counts, again, bins, chosen)
    for role, first in (("bank", 0), ("tax", 3)):
        for j in range(3):
            wanted = counts.n1[first + j] if j not in chosen[role] else (counts.n1[first + j] + 8) / 2
            assert both.n1[first + j].tolist() == pytest.approx(wanted.tolist())


def test_of_several_holders_each_counts_its_own_columns_again():
    """The places that a holder is told are among its columns, whatever other holders have before it."""
    small, columns = study(banks=1, holders=("tax", "power")), features()
    columns += [dataclasses.replace(f, institution="power") for f in columns[3:]]
    bins = card_bins([Bins(f, edges=(0.2, 0.5, 0.7)) if f.private_edges else Bins.public(f) for f in columns])
    # The risk of the last column alone differs from bin to bin, then that of the second but last.
    n1, n0 = [], []
    for k, b in enumerate(columns_of(bins)):
        risk = np.full(b.size, 0.2)
        risk[: b.known] += np.where(np.arange(b.known) % 2, 0.02, -0.02) * max(k - 5, 0)
        n1.append(40 * risk)
        n0.append(40 * (1 - risk))
    counts = LabelCounts(tuple(n1), tuple(n0), np.full(9, 0.01))
    facts = Facts(
        study=small,
        plan=make_plan(small, columns),
        training=200,
        sampled=200,
        labelled=200,
        weighted=False,
        binary=True,
    )
    chosen = second_release(facts, bins, counts, curves_of(counts, bins)).chosen
    assert chosen["power"] == [0, 1, 2] and sum(map(len, chosen.values())) == 4


def test_shape_columns_of_who_is_known_are_its_holders():
    facts, bins, counts, curves = holder_counts(rows=6000)
    second = second_release(facts, bins, counts, curves)
    assert second.release.name == "gram" and len(second.bases) == len(bins)
    owner = [b.feature.institution for b in bins]
    owners = owners_of(facts.study, second.bases, owner)
    assert set(owners["bank"]) == {0, 1, 2} and set(owners["tax"]) == {3, 4, 5, 6}
    assert all((second.bases[j][-1] == 0).all() for j in (3, 4, 5))


# --- the calibrated card -------------------------------------------------------------------------------------


def calibration_histogram(card, slope=1.0, shift=0.0, rows=1e6):
    """Exact counts where log-odds are a line of those that the card states."""
    mean, sd = card.score_distribution()
    score = mean + sd * np.linspace(-5, 5, 4001)
    count = np.exp(-0.5 * ((score - mean) / sd) ** 2)
    count *= rows / count.sum()
    p = 1 / (1 + np.exp(-(shift + slope * card.stated_log_odds(score))))
    place = np.searchsorted(card.calibration_bins(CALIBRATION_BINS), score, side="right")
    total = np.stack([np.bincount(place, w, CALIBRATION_BINS) for w in (count * p, count * (1 - p))], 1)
    return released("calibration", ("bank", "bank", "bank", total, 0.0))


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.6, -0.5), (1.3, 0.4)])
def test_a_card_is_brought_to_the_scale_of_its_histogram(slope, shift):
    _, bins, counts, _ = holder_counts(rows=3000)
    card = fit_card("s", bins, counts, None)
    got = calibrate(card, calibration_histogram(card, slope, shift))
    # Bins are half a deviation wide, and a bin's mean probability is not quite that of its middle.
    assert got.calibration.line[1] == pytest.approx(slope, abs=0.06)
    assert got.sd == pytest.approx(slope * card.sd, rel=0.06)
    score = card.base_points + np.arange(-30, 30, 10)
    truth = 1 / (1 + np.exp(-(shift + slope * card.stated_log_odds(score))))
    scaled = got.base_points + got.calibration.line[1] * (score - card.base_points)
    assert got.probability(scaled) == pytest.approx(truth, rel=0.12)


def test_a_calibrated_card_is_the_same_with_its_own_points_and_no_other():
    _, bins, counts, _ = holder_counts(rows=3000)
    card = fit_card("s", bins, counts, None)
    histogram = calibration_histogram(card, 0.7)
    own = calibrate(card, histogram)
    assert calibrate(card, histogram, own.points) == own
    moved = [list(p) for p in own.points]
    moved[0][0] += 2
    with pytest.raises(ConfigError, match="not those that follow"):
        calibrate(card, histogram, moved)


def test_the_record_says_what_card_follows_and_other_histograms_give_others(finished):
    record, card = finished["private"].record, finished["private"].card
    assert card.calibration is not None
    rows = record.release("calibration")
    assert rows.about["score_edges"] and rows.population == "training"
    block = dataclasses.replace(rows.blocks[0], total=rows.blocks[0].total[::-1].copy())
    other = record.with_release(dataclasses.replace(rows, blocks=(block,)))
    assert refit(other).to_json() != card.to_json()
    without = dataclasses.replace(
        record, releases=tuple(r for r in record.releases if r.name != "calibration")
    )
    first = refit(without)
    assert first.calibration is None
    assert first.calibration_bins(CALIBRATION_BINS).tolist() == pytest.approx(rows.about["score_edges"])
    assert calibrate(first, rows) == card


def test_contributions_follow_from_the_record_of_a_run(finished):
    found = contributions(finished["private"].record, draws=40)
    values = [p.worth["deviance"].value for p in found.institutions]
    assert [p.institution for p in found.institutions] == [
        *dict.fromkeys(b.feature.institution for b in finished["private"].card.bins)
    ]
    assert sum(values) == pytest.approx(found.whole["deviance"].value)
    assert min(values) >= 0
