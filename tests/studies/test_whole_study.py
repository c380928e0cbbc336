"""Whole studies against plain recomputation with pandas and NumPy on the joined tables."""

import json
import math
import shutil
from collections import defaultdict
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.errors import PeerError
from fedrisk.models.directions import course_of
from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.spend import charge, total
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard import fitting
from fedrisk.recipes.scorecard.forms import counts_release
from fedrisk.recipes.scorecard.plan import SHARES
from fedrisk.releases.budget import split, total_mu
from fedrisk.releases.edges import edges_release
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Block, Release
from support.long import sampled

ERROR = 1e-6  # greatest rate of false alarms of any statistical test here
NO_NOISE = {"privacy": {"epsilon": math.inf}}
CASES = [
    (("alfa",), ()),
    (("alfa",), ("tax",)),
    (("alfa",), ("tax", "power")),
    (("alfa", "beta", "gama"), ()),
    (("alfa", "beta", "gama"), ("tax", "power")),
]
KNOWN = {"name": "(known)", "kind": "known"}
"""What a card has after a holder's columns: whether the holder knows the enterprise. It is in no table."""

pytestmark = pytest.mark.study


# --- plain recomputation ------------------------------------------------------------------------------------


def marks_of(column, cells):
    """Borders of the edge histogram's cells, written anew from the documented formula."""
    low, high = column["low"], column["high"]
    if column.get("grid", "linear") == "linear":
        return np.linspace(low, high, cells + 1)
    unit = max(abs(low), abs(high)) / 1e4
    ends = [np.sign(v) * np.log(1 + abs(v) / unit) for v in (low, high)]
    t = np.linspace(*ends, cells + 1)
    out = np.sign(t) * (np.exp(np.abs(t)) - 1) * unit
    out[0], out[-1] = low, high
    return out


def is_private(column):
    return column["kind"] == "number" and not isinstance(column.get("bins"), list)


def check_quantiles(edges, counts, marks, bins):
    """Every edge is the mark whose cumulated share is nearest to some k/bins, and every k/bins has one."""
    share = np.r_[0, np.cumsum(counts)] / counts.sum()
    away = np.abs(share[:, None] - np.arange(1, bins) / bins)
    best = away <= away.min(0) + 1e-12  # equal shares, of empty cells, are equally near
    place = np.abs(marks[:, None] - np.array(edges)).argmin(0)
    np.testing.assert_allclose(edges, marks[place], rtol=1e-9)
    assert best[place].any(1).all()
    inner = ~best[[0, -1]].any(0)
    assert best[place][:, inner].any(0).all()


def codes_of(column, edges, values):
    """Bin of every value by the rules of the dictionary, missing ones last."""
    if column["kind"] == "category":
        place = {c: k for k, c in enumerate(column["categories"])}
        missing = len(place) + 1  # one before it stands for categories that are not listed
        return values.map(place).fillna(missing).to_numpy(int)
    inner = [-math.inf, *([0.5] if column["kind"] == "flag" else edges), math.inf]
    x = values.clip(column.get("low"), column.get("high"))
    codes = pd.cut(x, inner, right=False, labels=False)
    return codes.fillna(len(inner) - 1).to_numpy(int)


def looked_up(consortium, institution, ids):
    """An institution's rows of these enterprises, in which ``(known)`` is missing where it has none."""
    return consortium.tables[institution].set_index("id").assign(**{KNOWN["name"]: 1}).reindex(ids)


class Plain:
    """The same study on tables that one person joined: training rows by bank, with every institution's columns."""

    def __init__(self, consortium, run, kit, columns=None, weight=None):
        self.columns = columns or kit.COLUMNS
        self.study, self.run, self.weight = run.study, run, weight
        self.rows, self.by_bank = {}, {}
        for bank in run.study.banks:
            scores = run.scores(bank)
            ids = scores["id"][scores["split"] == "training"]
            self.by_bank[bank] = ids
            parts = [looked_up(consortium, bank, ids).add_prefix("bank.")]
            parts += [looked_up(consortium, h, ids).add_prefix(f"{h}.") for h in run.study.holders]
            self.rows[bank] = pd.concat(parts, axis=1)
        self.joined = pd.concat(self.rows.values())
        self.owners = [("bank", c) for c in self.columns["bank"]]
        self.owners += [(h, c) for h in run.study.holders for c in self.columns[h]]
        self.features = [(r, c) for r, c in self.owners if r == "bank"]
        self.features += [(h, c) for h in run.study.holders for c in (*self.columns[h], KNOWN)]
        self.sizes = {
            (b["institution"], b["column"]): len(p)
            for b, p in zip(run.card["bins"], run.card["points"], strict=True)
        }
        self.edges = {
            (b["institution"], b["column"]): b["edges"] for b in run.card["bins"] if b["kind"] == "number"
        }

    def value(self, role, column):
        return self.joined[f"{role}.{column['name']}"]

    def codes(self, role, column, table=None):
        """Bins of a feature in the training rows, or in another table that was looked up, (n,).

        Enterprises that a holder does not know have a bin of their own, behind that of missing values.
        """
        prefix, table = (f"{role}.", self.joined) if table is None else ("", table)
        gone = table[prefix + KNOWN["name"]].isna().to_numpy()
        if column is KNOWN:
            return gone.astype(int)
        values = pd.concat([table[prefix + column["name"]], pd.Series([np.nan])])
        codes = codes_of(column, self.edges.get((role, column["name"])), values)
        return codes[:-1] if role == "bank" else np.where(gone, codes[-1] + 1, codes[:-1])


def released_sum(run, release, block):
    """Sum of everybody's part of a block, as the hub adds them up, in plain units."""
    step = run.step("edges") if release == "edges" else run.step("release", release)
    mus = split(total_mu(run.study), SHARES)
    if release == "edges":
        plan = edges_release(run.study, run.plan.features, mus["edges"])
    else:
        content = run.sizes
        if release == "recount":
            chosen = run.told("counts").get("chosen")
            content = {role: [content[role][j] for j in picked] for role, picked in chosen.items()}
        mu = mus["gram" if release == "recount" else release]
        binary, rows = run.binary_labels, sum(run.roster.training.values())
        plan = counts_release(run.study, content, mu, release, binary_labels=binary, rows=rows)
    unit = 2.0**plan.scale_bits
    if not any(f"{block}.all" in a.blobs for a in step.answers.values()):
        return block_sum(step, block, plan.ring) / unit
    # Plain labels: defaults by themselves, in 16 bits where that is safe, and all rows in 32.
    ring = plan.ring_of(plan.block(block))
    assert ring == ("uint16" if rows * unit < 60_000 else "uint32")
    positives = (block_sum(step, block, ring) + 4000) % 2 ** (8 * np.dtype(ring).itemsize) - 4000
    everybody = block_sum(step, f"{block}.all", plan.ring)
    return np.concatenate([positives, everybody - positives], 1) / unit


def block_sum(step, block, ring):
    """The same in units of the ring, read as signed."""
    parts = [a.array(block) for a in step.answers.values() if block in a.blobs]
    assert parts and all(p.dtype == np.dtype(ring) for p in parts)
    return np.sum(parts, axis=0, dtype=ring).view(f"int{np.dtype(ring).itemsize * 8}").astype(np.int64)


def exact_edges(plain, role, cells=256):
    """Cell counts of a role's columns with private edges, (columns, cells), and the borders of the cells."""
    private = [c for c in plain.columns[role] if is_private(c)]
    marks = [marks_of(c, cells) for c in private]
    values = [plain.value(role, c).dropna().clip(c["low"], c["high"]) for c in private]
    return np.array([np.histogram(x, m)[0] for x, m in zip(values, marks, strict=True)]), marks, private


def check_edges(plain, run):
    for role in run.study.roles:
        exact, marks, private = exact_edges(plain, role)
        assert np.array_equal(released_sum(run, "edges", role), exact), role
        for counts, borders, column in zip(exact, marks, private, strict=True):
            wanted = column.get("bins", 24)  # without noise there is room for the most bins
            check_quantiles(plain.edges[role, column["name"]], counts, borders, wanted)


def exact_counts(plain, role, chosen=None, weight=1.0):
    """Label counts of a role's columns one below the other, (bins, 2)."""
    y = plain.joined["bank.bad"].to_numpy(float)
    own = [c for r, c in plain.owners if r == role]
    parts = []
    for column in own if chosen is None else [own[j] for j in chosen]:
        size = plain.sizes[role, column["name"]]
        codes = plain.codes(role, column)
        parts.append(np.stack([np.bincount(codes, weight * v, size) for v in (y, 1 - y)], 1))
    return np.concatenate(parts) if parts else None


def check_counts(plain, run, name="counts", chosen=None, weight=1.0):
    for role in run.study.roles:
        exact = exact_counts(plain, role, None if chosen is None else chosen[role], weight)
        if exact is not None:
            assert np.array_equal(released_sum(run, name, role), exact), role


def told_of_gram(plain, run):
    """Bases of each role's features, and the radii of all roles, as all members were told them."""
    told = run.told("counts")
    bases = {role: [] for role in run.study.roles}
    for (role, _), basis in zip(plain.features, told.get("bases"), strict=True):
        bases[role].append(basis)
    return {role: {"bases": own, "radii": told.get("radii")} for role, own in bases.items()}


def check_gram(plain, run):
    begin, step = told_of_gram(plain, run), run.step("release", "gram")
    parts, feature, clipped = {}, {}, 0
    sampled = sampled_rows(plain, run)
    for role, content in begin.items():
        own = [c for r, c in plain.features if r == role]
        rows = np.concatenate(
            [np.array(b)[plain.codes(role, c)][sampled] for c, b in zip(own, content["bases"], strict=True)],
            axis=1,
        )
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        radius = content["radii"][role]
        clipped += (norm > radius).sum()
        parts[role] = rows * np.minimum(1, radius / norm)
        feature[role] = np.repeat(range(len(own)), [np.shape(b)[1] for b in content["bases"]])
    assert clipped  # clipping is part of what is compared
    radius2 = sum(r * r for r in begin["bank"]["radii"].values())
    n = sampled.sum()
    bits = max(4, min(20, int((60 - math.log2(max(n, 4096) * radius2)) / 2)))
    # Each factor is cut by less than one unit, so each product by less than the other's size and a bit.
    bound = n * 2.0**-bits * 2 * max(begin["bank"]["radii"].values()) + 1e-9
    seen = 0
    for role, psi in parts.items():
        exact = psi.T @ psi
        i, j = zip(
            *[p for p in combinations(range(len(exact)), 2) if feature[role][p[0]] != feature[role][p[1]]],
            strict=True,
        )
        got = block_sum(step, role, np.uint64) / 4.0**bits
        np.testing.assert_allclose(got, exact[i, j], rtol=0, atol=bound)
        seen += 1
    for a, b in combinations(parts, 2):
        left, right = (b, a) if a == "bank" else (a, b)
        got = block_sum(step, f"{left}.{right}", np.uint64) / 4.0**bits
        np.testing.assert_allclose(got, parts[left].T @ parts[right], rtol=0, atol=bound)
        assert np.abs(got).max() > 100 * bound  # the bound says something
        seen += 1
    pairs = [f"{b}.{a}" if a == "bank" else f"{a}.{b}" for a, b in combinations(parts, 2)]
    assert {name for a in step.answers.values() for name in a.blobs} == {*parts, *pairs}
    assert seen == len(parts) * (len(parts) + 1) // 2


def sampled_rows(plain, run):
    """Which training rows the Gram matrix is about, in the order of ``plain.joined``; all without a sample."""
    flags = []
    for bank, ids in plain.by_bank.items():
        listed = run.roster.lists[bank]
        if listed.sample is None:
            flags.append(np.ones(len(ids), bool))
            continue
        places = {i: k for k, i in enumerate(run.order[bank])}
        flags.append(np.array([listed.sample[places[i]] == 1 for i in ids]))
    return np.concatenate(flags)


# --- (a) exact sums, (b) scores, (g) one enterprise once ----------------------------------------------------


@pytest.fixture(scope="module", params=sampled(zip(CASES), 2), ids=lambda c: f"{len(c[0])}x{len(c[1])}")
def exact(request, kit, scratch):
    """A research run without noise for each shape of a consortium."""
    banks, holders = request.param
    consortium = kit.build(scratch(), banks, holders, study=NO_NOISE)
    run = consortium.run(research_seed=1)
    return consortium, run, Plain(consortium, run, kit)


def test_released_totals_equal_plain_recomputation(exact):
    _, run, plain = exact
    assert run.results.to_dict()["second_release"] == "gram"
    check_edges(plain, run)
    check_counts(plain, run)
    check_gram(plain, run)


@pytest.mark.long
def test_gram_matrix_of_a_sample(kit, scratch, monkeypatch):
    """Of more training rows than gram_rows a sample is taken, the same again, and its matrix stands for all."""
    banks, used = ("alfa", "beta"), []
    real = fitting.moment_equations

    def moment_equations(bases, counts, curves, gram, variance):
        used.append(gram)
        return real(bases, counts, curves, gram, variance)

    monkeypatch.setattr(fitting, "moment_equations", moment_equations)
    consortium = kit.build(
        scratch(), banks, kit.HOLDERS, enterprises=4000, study={**NO_NOISE, "scorecard": {"gram_rows": 1000}}
    )
    order = {}

    def look(number, action, what):
        if action == "score":
            for bank in banks:
                node = consortium.nodes[bank]
                attempt = Attempt(node, node.store.attempt(consortium.last.attempt))
                order[bank] = attempt.read().ids[attempt.state.get(f"rows_{bank}")]

    run = consortium.run(research_seed=1, report=look)
    run.order = dict(order)
    plain = Plain(consortium, run, kit)
    flags = sampled_rows(plain, run)
    assert 1000 <= flags.sum() <= 1001 < len(flags) - 200
    check_counts(plain, run)
    check_gram(plain, run)
    again = consortium.run(research_seed=1)
    assert again.card == run.card
    whole = consortium.run(consortium.with_study(scorecard={"gram_rows": 5000}), research_seed=1)
    assert all(rows.sample is None for rows in whole.roster.lists.values())
    sample, full = used[0], used[-1]  # a card is made several times in a run, by all members
    assert not np.array_equal(sample, full)
    # Single entries vary by sampling, the scale that is common to all hardly does; unscaled it would be .57.
    assert (sample * full).sum() / (full * full).sum() == pytest.approx(1, abs=0.1)


def test_training_rows_are_those_that_the_rules_say(exact):
    """About 70 % in training, every enterprise through one bank, ``inclusion_probability`` of them, the same split everywhere."""
    consortium, run, plain = exact
    study = run.study
    everybody = set().union(*(set(consortium.tables[b]["id"]) for b in study.banks))
    used, held = [], []
    for bank in study.banks:
        scores = run.scores(bank)
        assert sorted(scores["id"]) == sorted(consortium.tables[bank]["id"])  # all customers are scored
        used += list(scores["id"][scores["split"] != "unused"])
        held += list(scores["id"][scores["split"] == "holdout"])
        assert run.results.to_dict()["rows"]["training"][bank] == (scores["split"] == "training").sum()
        assert run.results.to_dict()["rows"]["holdout"][bank] == (scores["split"] == "holdout").sum()
    assert len(used) == len(set(used))  # nobody twice, though banks overlap
    n = len(everybody)
    low, high = stats.binom.ppf([ERROR / 2, 1 - ERROR / 2], n, study.inclusion_probability)
    assert low <= len(used) <= high
    low, high = stats.binom.ppf([ERROR / 2, 1 - ERROR / 2], len(used), 0.3)
    assert low <= len(held) <= high
    counts = released_sum(run, "counts", "bank")
    first = len(run.card["points"][0])
    assert counts[:first].sum() == len(used) - len(held) == len(set(plain.joined.index))


def test_scores_equal_recomputation_from_the_scorecard(exact):
    consortium, run, plain = exact
    first, fitted = first_card(run), run.card["calibration"]
    for bank in run.study.banks:
        folder = run.nodes[bank].store.results(run.attempt)
        card = json.loads((folder / "scorecard.json").read_text())
        assert card == run.card
        check_scale(first, card)
        scores = run.scores(bank).set_index("id")
        own = looked_up(consortium, bank, scores.index)
        inside, short = 0, {}
        for (role, column), points, average in zip(
            plain.features, card["points"], card["averages"], strict=True
        ):
            if role == "bank":
                got = np.array(points)[plain.codes(role, column, own)]
                inside, short[column["name"]] = inside + got, average - got
        everything = inside + card["base_points"]
        assert np.array_equal(scores["own_points"], inside)
        if run.study.holders:
            # Holders gave their points before the calibration was there; the bank brings their sum to its scale.
            tables = {h: looked_up(consortium, h, scores.index) for h in run.study.holders}
            given = sum(sums_by_hand(plain, first, h, table)[0] for h, table in tables.items())
            outside = np.rint(fitted["line"][1] * given)
            assert np.array_equal(scores["external_points"], outside)
            everything = everything + outside
            held = [a for (r, _), a in zip(plain.features, card["averages"], strict=True) if r != "bank"]
            short["external data"] = sum(held) - outside
        assert np.array_equal(scores["score"], everything)
        np.testing.assert_allclose(scores["probability"], probability_by_hand(fitted, everything), rtol=1e-9)
        # reasons: the largest shortfalls against the average, four at most, no gain among them
        shortfall = pd.DataFrame(short, index=scores.index)
        for row, told in zip(shortfall.itertuples(index=False), scores["reasons"], strict=True):
            values = dict(zip(shortfall.columns, row, strict=True))
            wanted = sorted((v for v in values.values() if v > 1e-9), reverse=True)[:4]
            names = told.split(", ") if told else []
            assert [pytest.approx(values[n]) for n in names] == wanted


def first_card(run):
    """The card by which holders give points and training rows are scored, before its calibration."""
    return json.loads(run.told("card").get("scorecard"))


def stated(score):
    """Log-odds of default: 600 points are odds of 30 to 1, 20 points double them."""
    return -np.log(30 * 2 ** ((score - 600) / 20))


def check_scale(first, card):
    """Points times the slope of the calibration's line, rounded again; its level is in the base."""
    fitted = card["calibration"]
    level, slope = fitted["line"]
    assert first["calibration"] is None and abs(slope - 1) > 0.01  # the slope is part of what is compared
    for before, after in zip(first["points"], card["points"], strict=True):
        assert np.array_equal(np.rint(slope * np.array(before)), after)
    assert card["averages"] == pytest.approx([slope * a for a in first["averages"]])
    line = level + slope * (stated(first["base_points"]) - fitted["centre"])
    assert abs(stated(card["base_points"]) - line) <= 0.5 * math.log(2) / 20 + 1e-9


def probability_by_hand(fitted, score):
    """What the scale says, or where the calibration is bent, the curve at the first card's log-odds."""
    odds = stated(score)
    if fitted["bend"]:
        level, slope = fitted["line"]
        x = (odds - level) / slope
        odds = fitted["level"] + fitted["slope"] * x + fitted["bend"] * np.log((1 + np.exp(x)) / 2)
    return 1 / (1 + np.exp(-odds))


def test_figures_equal_recomputation_from_scores(exact):
    """AUC of the research run by hand from the banks' kept scores, and those of their own models."""
    consortium, run, _ = exact
    frames, alone = [], []
    for bank in run.study.banks:
        scores = run.scores(bank)
        label = consortium.tables[bank].set_index("id")["bad"].loc[scores["id"]].to_numpy()
        held = (scores["split"] == "holdout").to_numpy()
        frames.append(pd.DataFrame({"risk": -scores["score"][held], "y": label[held]}))
        alone.append(area(label[held], scores["alone_probability"][held]))
        if run.study.holders:
            champion = area(label[held], scores["champion_probability"][held])
            told = run.results.to_dict()["by_bank"][bank]
            assert told["champion_auc"] == pytest.approx(champion)
    both = pd.concat(frames)
    metrics = run.results.to_dict()
    assert metrics["auc"] == pytest.approx(area(both["y"], both["risk"]), abs=1e-9)
    assert metrics["bank_alone_auc"] == pytest.approx(np.mean(alone))
    assert metrics["auc"] > 0.7
    assert metrics["research"] and metrics["epsilon"] is None and metrics["notice"]


def area(label, risk):
    """AUC by ranks (Mann-Whitney)."""
    ranks = stats.rankdata(risk)
    positive = np.asarray(label) == 1
    n1, n0 = positive.sum(), (~positive).sum()
    return (ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)


def sums_by_hand(plain, card, holder, table):
    """A holder's sum of points of each row of a table, the mean of its points, and shares of its sums.

    card: the first one, by which holders give points.
    """
    exact, mean, alone, shares = np.zeros(len(table)), 0.0, 0, {0: 1.0}
    for (role, column), points, average in zip(plain.features, card["points"], card["averages"], strict=True):
        if role != holder:
            continue
        exact += np.array(points)[plain.codes(role, column, table)]
        mean += average
        alone += points[-1]
        # Released shares of bins are those of the training rows where there is no noise; an empty bin counts as one
        # enterprise. Columns are taken for independent among the enterprises that the holder knows.
        rows = np.bincount(plain.codes(role, column), minlength=len(points))
        weight = np.maximum(rows[:-1], 1) / np.maximum(rows[:-1], 1).sum()
        after = defaultdict(float)
        for s, mass in shares.items():
            for p, w in zip(points[:-1], weight, strict=True):
                after[s + p] += mass * w
        shares = after
    # Whether it knows an enterprise is one event; the last feature says how often.
    known = rows[0] / rows.sum()
    shares = defaultdict(float, {s: known * m for s, m in shares.items()})
    shares[alone] += 1 - known
    return exact, mean, shares


def band_by_hand(plain, card, holder, table):
    """Points of the band of each row, by the first card: deciles of a normal curve, merged where thin or nearly one sum alone."""
    exact, mean, shares = sums_by_hand(plain, card, holder, table)
    spread = card["partial_sd"][holder]
    cuts = np.unique(np.ceil(stats.norm.ppf(np.arange(1, 10) / 10, mean, spread)))
    z = (np.r_[-np.inf, cuts, np.inf] - mean) / spread
    inside = np.rint(mean - spread * np.diff(stats.norm.pdf(z)) / np.diff(stats.norm.cdf(z)))

    def enough(low, high):
        band = [m for s, m in shares.items() if low <= s < high]
        return band and sum(band) >= 0.05 and max(band) <= 0.9 * sum(band)

    kept, groups = [-np.inf], [[inside[0]]]
    for cut, value in zip(cuts, inside[1:], strict=True):
        if enough(kept[-1], cut) and enough(cut, np.inf):
            kept.append(cut)
            groups.append([value])
        else:
            groups[-1].append(value)
    values = np.array([round(np.mean(g)) for g in groups])
    return values[np.searchsorted(kept[1:], exact, side="right")], exact


@pytest.mark.long
def test_one_holder_in_bands(kit, tmp_path):
    """Where one holder stands alone behind the sum and its policy says so, the bank sees at most ten values."""
    consortium = kit.build(tmp_path, policy={"scores": "bands"}, study=NO_NOISE)
    run = consortium.run(research_seed=1)
    plain = Plain(consortium, run, kit)
    scores, card = run.scores("alfa").set_index("id"), run.card
    table = looked_up(consortium, "tax", scores.index)
    band, exact = band_by_hand(plain, first_card(run), "tax", table)
    assert np.array_equal(scores["external_points"], np.rint(card["calibration"]["line"][1] * band))
    assert 2 < scores["external_points"].nunique() <= 10 < len(np.unique(exact))
    assert np.array_equal(
        scores["score"], scores["own_points"] + scores["external_points"] + card["base_points"]
    )


@pytest.mark.parametrize(("columns", "in_bands"), sampled([(3, True), (2, False)], 2))
def test_two_holders_hide_each_other_where_each_has_columns_enough(kit, tmp_path, columns, in_bands):
    """Tax has three columns and power two: by the default of three, one holder alone would stand behind the sum."""
    policy = {"scores": "bands", **({} if columns == 3 else {"band_columns": columns})}
    consortium = kit.build(tmp_path, ("alfa",), kit.HOLDERS, policy=policy, study=NO_NOISE)
    run = consortium.run(research_seed=1)
    plain = Plain(consortium, run, kit)
    scores = run.scores("alfa").set_index("id")
    bands, sums = 0, 0
    for holder in kit.HOLDERS:
        band, exact = band_by_hand(
            plain, first_card(run), holder, looked_up(consortium, holder, scores.index)
        )
        bands, sums = bands + band, sums + exact
    bands, sums = (np.rint(run.card["calibration"]["line"][1] * given) for given in (bands, sums))
    assert not np.array_equal(bands, sums)
    assert np.array_equal(scores["external_points"], bands if in_bands else sums)


@pytest.mark.long
def test_the_sum_of_points_has_no_more_values_than_any_holder_allows(kit, tmp_path):
    """A grid from the least to the greatest sum, by public numbers; the least of the holders' limits counts."""
    consortium = kit.build(tmp_path, ("alfa", "beta"), kit.HOLDERS, study=NO_NOISE)
    rules = consortium.content["power"]["policy"]
    consortium.content["power"]["policy"] = {**rules, "score_values": 16}
    consortium.write("power")
    run = consortium.run(research_seed=1)
    plain = Plain(consortium, run, kit)
    first, slope = first_card(run), run.card["calibration"]["line"][1]
    reach = {h: [0, 0] for h in kit.HOLDERS}
    for (role, _), points in zip(plain.features, first["points"], strict=True):
        if role in reach:
            reach[role] = [reach[role][0] + min(points), reach[role][1] + max(points)]
    step = math.ceil(sum(high - low for low, high in reach.values()) / 15)
    assert step > 3
    for bank in run.study.banks:
        scores = run.scores(bank).set_index("id")
        given = 0
        for holder, (low, high) in reach.items():
            table = looked_up(consortium, holder, scores.index)
            exact, _, _ = sums_by_hand(plain, first, holder, table)
            place = np.minimum(np.floor((exact - low + step // 2) / step), (high - low) // step)
            given = given + low + step * place
        assert np.array_equal(scores["external_points"], np.rint(slope * given))
        assert 3 < scores["external_points"].nunique() <= 16


# --- (c) the noise ------------------------------------------------------------------------------------------


def noisy(kit, folder, seed, epsilon=2.0):
    """One study with repeatable noise at 3 banks and 2 holders; the pseudonyms of a folder are used again."""
    consortium = kit.build(
        folder, kit.BANKS, kit.HOLDERS, enterprises=700, study={"privacy": {"epsilon": epsilon}}
    )
    return consortium, consortium.run(research_seed=seed, wire=False)


@pytest.mark.long
def test_noise_of_whole_studies_has_the_promised_variance(kit, tmp_path):
    """Total less exact: mean 0 and the variance that the documentation promises, by chi-square and normal bounds.

    Price, sensitivity and roster by hand: 5 and 62 % of mu^2; an enterprise stands in one cell of each of four
    columns with private edges, of 64 cells for so few rows, and in one bin of each of eight columns; three banks of which one may collude, so that
    each carries the whole noise; beside a block of a holder with the banks the holder's own.
    """
    mu = mu_for(2.0, 1e-6)
    sigma = {"edges": math.sqrt(4 / 0.05) / mu, "counts": math.sqrt(8 / 0.62) / mu}
    standard = defaultdict(list)
    for seed in range(4):
        consortium, run = noisy(kit, tmp_path, seed)
        plain = Plain(consortium, run, kit)
        for role in run.study.roles:
            for release, exact, contributors in (
                ("edges", exact_edges(plain, role, cells=64)[0], 3 if role == "bank" else 1),
                ("counts", exact_counts(plain, role), 3 if role == "bank" else 4),
            ):
                noise = (released_sum(run, release, role) - exact).ravel()
                standard[release].append(noise / sigma[release] / math.sqrt(contributors))
    tests = 2 * len(standard)
    for release, parts in standard.items():
        x = np.concatenate(parts)
        assert x.size > 300
        low, high = stats.chi2.ppf([ERROR / tests / 2, 1 - ERROR / tests / 2], x.size)
        assert low <= (x**2).sum() <= high * 1.01, release  # the price of discreteness adds less than 1 %
        assert abs(x.mean()) <= stats.norm.isf(ERROR / tests / 2) / math.sqrt(x.size), release


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize("sigma", [4.5, 1000.0, 2.0**45])
@pytest.mark.parametrize("contributors", [("alfa",), ("alfa", "tax")])
def test_every_part_carries_its_noise(kit, tmp_path, seed, sigma, contributors):
    """What the outlet adds, masks cancelled: variance sigma^2 for each contributor (real sampler too)."""
    consortium = kit.build(tmp_path, enterprises=300)
    attempts = agreed(consortium, seed)
    shape = (60, 50)
    block = Block(name="b", left="alfa", right="tax", shape=shape, sigma=dict.fromkeys(contributors, sigma))
    release = Release(name="r", population="training", mu=1.0, ring="uint64", scale_bits=0, blocks=(block,))
    exact = np.arange(3000).reshape(shape).astype(np.uint64)

    def leaves(attempt):
        attempt.state.save(Plan(planned=(), price={attempt.name: release.mu}))
        answer = outlet.release(attempt, release, Payload(), lambda block, noise: noise.add(block, exact))
        return answer.array("b")

    total = sum(leaves(attempts[n]) for n in contributors)
    noise = (total - np.uint64(len(contributors)) * exact).view(np.int64).astype(float)
    x = noise.ravel() / sigma / math.sqrt(len(contributors))
    tests = 12 * 2
    low, high = stats.chi2.ppf([ERROR / tests / 2, 1 - ERROR / tests / 2], x.size)
    assert low <= (x**2).sum() <= high
    assert (
        stats.kstest(x + (np.random.default_rng(0).random(x.size) - 0.5) / sigma, "norm").pvalue
        > ERROR / tests
    )


def agreed(consortium, research_seed=None):
    """Attempts of all institutions after they exchanged keys; nothing was released yet."""

    class Stop(BaseException):
        pass

    def stop(number, action, what):
        if action == "edges":
            raise Stop

    with pytest.raises(Stop):
        consortium.run(research_seed=research_seed, report=stop)
    attempt = consortium.last.attempt
    return {n: Attempt(node, node.store.attempt(attempt)) for n, node in consortium.nodes.items()}


# --- (d) prices ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("banks", [("alfa",), pytest.param(("alfa", "beta", "gama"), marks=pytest.mark.long)])
def test_spends_add_up_to_the_budget_and_all_pay_the_same(kit, tmp_path, banks):
    consortium = kit.build(tmp_path, banks, kit.HOLDERS, study={"privacy": {"epsilon": 1.0}})
    run = consortium.run()
    mu = mu_for(1.0, 1e-6)
    assert total_mu(run.study) == mu == run.results.to_dict()["mu"]
    for name, node in run.nodes.items():
        entries = node.ledger.entries()
        assert all(e.committed for e in entries)
        training = [e.spend for e in entries if e.spend.population == "training"]
        assert sorted(s.release for s in training) == [
            "calibration",
            "counts",
            "edges",
            run.results.to_dict()["second_release"],
        ]
        assert total(training) == pytest.approx(mu, rel=1e-9)
        assert math.hypot(*(s.mu for s in training)) <= mu * (1 + 1e-12)
        held = [e.spend for e in entries if e.spend.population == "holdout"]
        assert [(s.release, s.mu) for s in held] == [("evaluation", mu)]  # holders' records decide the scores
        assert node.ledger.spent() == pytest.approx(mu, rel=1e-9)
        assert {s.institution for s in training} == {name} and not any(s.research for s in training)
    told = [s for s in run.results.to_dict()["spends"] if s["population"] == "training"]
    assert len(told) == 4 * len(run.nodes)
    shares = split(total_mu(run.study), SHARES)
    second = run.results.to_dict()["second_release"]
    for release, share in (("edges", 0.05), ("counts", 0.62), (second, 0.28), ("calibration", 0.05)):
        paid = [s["mu"] for s in told if s["release"] == release]
        assert paid == pytest.approx([mu * math.sqrt(share)] * len(run.nodes), rel=1e-9)
    assert sum(m**2 for m in shares.values()) == pytest.approx(mu**2, rel=1e-12)


def test_ledger_refuses_the_study_that_would_pass_the_cap(kit, tmp_path):
    """Squares of mu add up: three studies of epsilon 1 fit below 2.0 at delta 1e-6, the fourth does not."""
    consortium = kit.build(
        tmp_path, study={"privacy": {"epsilon": 1.0}}, policy={"cap_epsilon": 2.0}, enterprises=900
    )
    consortium.content["alfa"]["policy"] = {**consortium.content["alfa"]["policy"], "cap_epsilon": 20.0}
    consortium.write("alfa")
    mu, cap = mu_for(1.0, 1e-6), mu_for(2.0, 1e-6)
    fit = int(cap**2 // mu**2)
    assert fit == 3
    for _ in range(fit):
        consortium.run()
    nodes = consortium.nodes
    before = {n: node.ledger.entries() for n, node in nodes.items()}
    spent = {n: node.ledger.spent() for n, node in nodes.items()}
    assert spent["tax"] == pytest.approx(mu * math.sqrt(fit)) and spent["tax"] <= cap
    with pytest.raises(PeerError, match=r"no agreement from tax \(budget\)"):
        consortium.run()
    assert [s.action for s in consortium.last.steps] == ["describe"]
    assert {n: node.ledger.entries() for n, node in nodes.items()} == before
    (entry,) = nodes["tax"].store.errors.of(consortium.last.attempt)
    assert entry["code"] == "budget"
    assert "cap" in entry["text"] and "Lower the study's epsilon" in entry["text"]
    told = consortium.run(consortium.with_study(privacy={"epsilon": 0.1}))  # what is left can still be spent
    assert told.nodes["tax"].ledger.spent() <= cap


@pytest.mark.long
def test_a_ledger_never_pays_twice_for_one_population(kit, tmp_path):
    """Two studies: squares of both, not of releases counted again; spends read back from the disk."""
    consortium = kit.build(tmp_path, enterprises=800, study={"privacy": {"epsilon": 1.0}})
    for _ in range(2):
        run = consortium.run()
    spends = [e.spend for e in run.nodes["alfa"].ledger.entries()]
    assert charge(spends) == pytest.approx(mu_for(1.0, 1e-6) * math.sqrt(2), rel=1e-9)
    assert len({s.attempt for s in spends}) == 2


# --- (e) repeatable research runs ---------------------------------------------------------------------------


@pytest.mark.long
def test_research_seed_repeats_the_scorecard(kit, tmp_path):
    consortium = kit.build(tmp_path, kit.BANKS, kit.HOLDERS, enterprises=1500)
    first = consortium.run(research_seed=5)
    again = consortium.run(research_seed=5)
    other = consortium.run(research_seed=6)
    shutil.rmtree(tmp_path / "home")
    anew = consortium.run(research_seed=5)  # other stores, keys and pseudonyms kept nowhere
    card = first.results.card.to_json()
    assert again.results.card.to_json() == card == anew.results.card.to_json()
    assert other.results.card.to_json() != card
    for key in ("auc", "ks", "brier", "rows"):
        assert first.results.to_dict()[key] == again.results.to_dict()[key] == anew.results.to_dict()[key]


@pytest.mark.long
def test_private_runs_differ(kit, tmp_path):
    consortium = kit.build(tmp_path)
    runs = [consortium.run() for _ in range(2)]
    a, b = (r.results.card.to_json() for r in runs)
    assert a != b
    metrics = runs[0].results.to_dict()
    assert not metrics["research"] and metrics["notice"] is None and metrics["epsilon"] == 8.0
    assert metrics["bank_alone_auc"] is None and metrics["bank_champion_auc"] is None
    assert metrics["auc"] > 0.6  # from the noisy histogram, nine standard errors below what is expected
    splits = [r.scores("alfa").set_index("id")["split"].sort_index() for r in runs]
    assert splits[0].equals(splits[1])  # the side of an enterprise never changes


# --- (f) branches and rules ---------------------------------------------------------------------------------


@pytest.mark.long
def test_recount_where_positives_are_few(kit, tmp_path):
    """Fewer than ten positives a feature: the second count is exact too, of the stronger half."""
    consortium = kit.build(tmp_path, ("alfa", "beta"), kit.HOLDERS, tables=rare(kit), study=NO_NOISE)
    run = consortium.run(research_seed=1)
    assert run.results.to_dict()["second_release"] == "recount"
    plain = Plain(consortium, run, kit)
    assert 0 < plain.joined["bank.bad"].sum() < 80
    check_counts(plain, run)
    chosen = run.told("counts").get("chosen")
    assert sum(map(len, chosen.values())) == 4
    check_counts(plain, run, "recount", chosen)
    assert all(s.sent[next(iter(s.sent))].body.get("release") != "gram" for s in run.steps)


def rare(kit):
    """Tables with few defaults: a sixth of the usual ones stay."""
    tables = kit.province(2500)
    for bank in kit.BANKS:
        tables[bank]["bad"] *= np.arange(len(tables[bank])) % 6 == 0
    return tables


def test_recount_is_charged_like_the_gram_matrix(kit, tmp_path):
    consortium = kit.build(tmp_path, tables=rare(kit))
    run = consortium.run()
    assert run.results.to_dict()["second_release"] == "recount"
    for node in run.nodes.values():
        assert node.ledger.spent() == pytest.approx(total_mu(run.study), rel=1e-9)


def test_very_few_positives_at_a_bank_still_end_in_scores(kit, tmp_path):
    """Too few rows for boosting: the bank goes without a champion, not without the scores that were paid."""
    tables = kit.province(1500)
    bad = tables["beta"]["bad"]
    tables["beta"]["bad"] = bad * (bad.cumsum() <= 8)
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), tables=tables)
    run = consortium.run()
    scores = run.scores("beta")
    assert len(scores) == len(tables["beta"])
    assert "champion_probability" not in scores and "champion_probability" in run.scores("alfa")


@pytest.mark.long
def test_out_of_time_holdout(kit, tmp_path):
    cut = pd.Timestamp("2024-06-01")
    columns = {r: [*c, {"name": "day", "kind": "date", "feature": False}] for r, c in kit.COLUMNS.items()}
    consortium = kit.build(
        tmp_path,
        ("alfa", "beta"),
        ("tax",),
        columns=columns,
        dictionary={"as_of": "day"},
        study={"holdout": {"kind": "out_of_time", "from_date": cut.date().isoformat()}, **NO_NOISE},
    )
    run = consortium.run(research_seed=1)
    for bank in run.study.banks:
        scores = run.scores(bank)
        used = scores[scores["split"] != "unused"]
        day = consortium.tables[bank].set_index("id")["day"].loc[used["id"]]
        assert np.array_equal(used["split"] == "holdout", day >= cut)
        assert set(used["split"]) == {"training", "holdout"}
    check_counts(Plain(consortium, run, kit, kit.COLUMNS), run)


@pytest.mark.long
def test_evaluation_by_bank(kit, tmp_path):
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), study={"evaluation": {"by_bank": True}})
    run = consortium.run()
    step = run.step("deliver")
    assert {n: list(a.blobs) for n, a in step.answers.items()} == {"alfa": ["alfa"], "beta": ["beta"]}
    edges = run.results.card.score_bins(run.study.evaluation.bins)
    release = evaluation_release(run.study, len(edges) + 1)
    for bank in run.study.banks:
        scores = run.scores(bank)
        held = scores[scores["split"] == "holdout"]
        y = consortium.tables[bank].set_index("id")["bad"].loc[held["id"]].to_numpy()
        got = block_sum(step, bank, np.uint32) / 2.0**release.scale_bits
        bins = len(edges) - np.searchsorted(edges, held["score"], side="right")
        exact = np.stack([np.bincount(bins, v, len(edges) + 1) for v in (y, 1 - y)], 1)
        sd = math.sqrt(release.variance(bank))
        # A holder's record moves an enterprise from one cell to another.
        assert sd == pytest.approx(math.sqrt(2) / mu_for(8.0, 1e-6), rel=0.01)
        assert np.abs(got - exact).max() < sd * stats.norm.isf(ERROR / 4 / got.size)
        assert not np.array_equal(got, exact)
        assert 0.4 < run.results.to_dict()["by_bank"][bank]["auc"] <= 1
        assert run.results.to_dict()["by_bank"][bank]["champion_auc"] is None


@pytest.mark.parametrize(("name", "seed"), sampled([("beta", None), ("beta", 3), ("tax", None)], 3))
def test_no_evaluation_leaves_where_a_policy_forbids_it(kit, tmp_path, name, seed):
    """A bank's, or a holder's, whose records decide the scores."""
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), enterprises=1500)
    consortium.content[name]["policy"] = {**consortium.content[name]["policy"], "evaluation": False}
    consortium.write(name)
    run = consortium.run(research_seed=seed)
    assert all(not a.blobs and "figures" not in a.body for a in run.step("deliver").answers.values())
    assert run.results.to_dict()["auc"] is None and run.results.to_dict()["by_bank"] is None
    assert {"score", "probability", "reasons"} <= set(run.scores("beta").columns)  # the banks have theirs
    for name in ("alfa", "beta", "tax"):
        assert not [e for e in run.nodes[name].ledger.entries() if e.spend.population == "holdout"]


@pytest.mark.long
def test_monotone_column_categories_and_missing_values(kit, tmp_path):
    """The imposed direction holds whatever the noise; a category not listed and a code count as missing."""
    tables = kit.province(2500)
    grade = tables["alfa"]["grade"].to_numpy(copy=True)
    grade[:5] = "Z"  # not listed: below the share that is an error
    grade[5:60] = "?"  # the bank's own code for missing
    tables["alfa"]["grade"] = grade
    columns = json.loads(json.dumps(kit.COLUMNS))
    columns["bank"][2]["missing_values"] = ["?"]
    consortium = kit.build(tmp_path, tables=tables, columns=columns, study={"privacy": {"epsilon": 1.0}})
    run = consortium.run(research_seed=4)
    at = next(k for k, b in enumerate(run.card["bins"]) if b["column"] == "growth")
    ordered = run.card["points"][at][:-2]  # without missing values and unknown enterprises
    assert len(ordered) > 3 and list(ordered) == sorted(ordered)  # less risk, so more points, as growth rises
    consortium = kit.build(tmp_path, tables=tables, columns=columns, study=NO_NOISE)
    run = consortium.run(research_seed=4)
    plain = Plain(consortium, run, kit, columns)
    check_edges(plain, run)
    check_counts(plain, run)  # codes_of knows neither "Z" nor "?", so they are missing there too
    check_gram(plain, run)


def test_a_column_with_an_expected_direction_and_points_with_errors(kit, tmp_path):
    """The direction is stated to all, no noise makes the points turn, and members recompute the stated errors."""
    columns = json.loads(json.dumps(kit.COLUMNS))
    columns["tax"][1] = {"name": "growth", "kind": "number", "low": -1, "high": 1, "direction": "decreasing"}
    consortium = kit.build(tmp_path, enterprises=2500, columns=columns, study={"privacy": {"epsilon": 1.0}})
    run = consortium.run(research_seed=4)
    card = run.results.card
    at = next(j for j, b in enumerate(card.bins) if b.feature.column == "growth")
    assert card.bins[at].feature.direction == "decreasing"
    assert not course_of(card.bins[at], card.points[at], card.errors_of(at)).clearly
    assert [len(e) for e in card.errors] == [len(p) for p in card.points]
    assert all(e > 0 for errors in card.errors for e in errors)
    assert fitting.refit(run.results.record).same_as(card)

    def bolder(told):
        said = json.loads(told.get("scorecard"))
        said["errors"][0][0] /= 2
        return Payload({**told.body, "scorecard": json.dumps(said)}, told.blobs)

    with pytest.raises(PeerError, match=r"\(protocol\)"):
        consortium.run(research_seed=4, change=lambda run, step: kit.retold(step, "card", bolder))


@pytest.mark.long
def test_weights_and_labels_between_zero_and_one(kit, tmp_path):
    """Selection weights in eighths and labels in quarters count as they are, with noise and without."""
    tables = kit.province(2000)
    for bank in kit.BANKS:
        tables[bank]["bad"] = (tables[bank]["bad"] * 2 + np.arange(len(tables[bank])) % 2) / 4
    label = {"column": "bad", "horizon": "a year", "weight": "weight"}
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), tables=tables, label=label, study=NO_NOISE)
    run = consortium.run(research_seed=1)
    plain = Plain(consortium, run, kit)
    weight = plain.joined["bank.weight"].to_numpy()
    check_counts(plain, run, weight=weight)
    exact = (weight * plain.joined["bank.bad"]).sum() / weight.sum()
    assert run.results.card.rate == pytest.approx(exact, rel=1e-9)
    assert len(run.scores("alfa")) == len(tables["alfa"])
    for epsilon in (1.0, 8.0):
        run = consortium.run(consortium.with_study(privacy={"epsilon": epsilon}), research_seed=1)
        plain = Plain(consortium, run, kit)
        got = released_sum(run, "counts", "bank")
        want = plain.joined["bank.weight"].sum() * len(kit.COLUMNS["bank"])
        sd = math.sqrt(2 * got.size * len(plain.owners) / 0.62) / mu_for(epsilon, 1e-6)
        assert abs(got.sum() - want) <= stats.norm.isf(ERROR / 4) * sd


@pytest.mark.long
def test_authority_that_is_a_third_institution(kit, tmp_path):
    """A regulator keeps the key: it computes no sum, is charged nothing, and keeps no secret of the attempt."""
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax",), authority="regulator", study=NO_NOISE)
    for _ in range(2):  # the second time all pseudonyms are known and nothing is asked of it
        run = consortium.run(research_seed=1)
        check_counts(Plain(consortium, run, kit), run)
        store = run.nodes["regulator"].store
        assert not (store.path / "attempts" / run.attempt / "secrets").exists()
        assert not run.nodes["regulator"].ledger.entries()


@pytest.mark.long
def test_bank_with_labels_alone(kit, tmp_path):
    """A bank may bring nothing but its labels; the holders' columns make the scorecard."""
    columns = {
        **kit.COLUMNS,
        "bank": [{"name": "debt", "kind": "number", "low": 0, "high": 1e6, "feature": False}],
    }
    consortium = kit.build(tmp_path, ("alfa",), kit.HOLDERS, columns=columns, study=NO_NOISE)
    run = consortium.run(research_seed=1)
    assert {b["institution"] for b in run.card["bins"]} == set(kit.HOLDERS)
    scores = run.scores("alfa")
    assert np.array_equal(scores["score"], scores["external_points"] + run.card["base_points"])
    assert run.results.to_dict()["auc"] > 0.7


@pytest.mark.long
def test_a_bank_refuses_that_its_weighted_labels_be_taken_for_plain_ones(kit, tmp_path):
    """Counts of plain labels have no room for fractions: rounded weights would break the sensitivity."""
    label = {"column": "bad", "positive": [1], "negative": [0], "horizon": "a year", "weight": "weight"}
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=600, label=label)
    assert consortium.run().binary_labels is False

    def plain(told):
        said = told.get("statements")
        label = {**said["alfa"]["label"], "weighted": False, "binary": True}
        return Payload({**told.body, "statements": {**said, "alfa": {**said["alfa"], "label": label}}})

    with pytest.raises(PeerError, match=r"blind: refused by alfa \(protocol\)"):
        consortium.run(change=lambda run, step: kit.retold(step, "members", plain))
