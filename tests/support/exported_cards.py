"""Cards with every kind of column, tables with every kind of value, and what the card itself says of such rows."""

from itertools import pairwise

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from fedrisk.data.features import Feature, known_feature
from fedrisk.models.binning import Bins
from fedrisk.models.calibration import Calibration
from fedrisk.models.card_pairs import pair_bins, with_pair_codes
from fedrisk.models.scale import STANDARD, Scale
from fedrisk.models.scorecard import Scorecard
from fedrisk.study_members import BANK

SPECIAL = (("-9", "no record"), ("-8", "it's 无记录"))
EDGES = (0.1, 0.1 + 0.2, 1 / 3, 1e-300, 7.0, 123456.789, 2.0**53 + 2, 1e17, -0.25)
TEXTS = ("制造业", "o'neill", 'a "b"', "back\\slash", "2", "零售; --", "x & y", "农业")
NAMES = ("age", "limit use", "负债率", 'od"d', "Select", "back`tick", "group")

BENT = Calibration(centre=-2.5, level=-2.3, slope=0.8, bend=0.35, line=(-2.35, 0.95))
STRAIGHT = Calibration(centre=-2.5, level=-2.3, slope=0.9, bend=0.0, line=(-2.3, 0.9))

EITHER = st.booleans()
FEW = st.integers(1, 4)
ROWS = st.integers(1, 12)


@st.composite
def bins(draw, institution, column, *, unknown=False, missing=EITHER):
    kind = draw(st.sampled_from(("number", "number", "category", "flag")))
    common = {"institution": institution, "column": column, "kind": kind, "missing": draw(missing)}
    if kind == "category":
        texts = tuple(draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=5, unique=True)))
        same = ((texts[-1], texts[0]),) if len(texts) > 2 and draw(st.booleans()) else ()
        kept = texts[:-1] if same else texts
        return Bins(Feature(**common, bins=texts), categories=kept, unknown=unknown, same=same)
    special = tuple(draw(st.lists(st.sampled_from(SPECIAL), max_size=2, unique=True)))
    if kind == "flag":
        return Bins(Feature(**common, special=special), edges=(0.5,), unknown=unknown)
    edges = tuple(sorted(draw(st.lists(st.sampled_from(EDGES), max_size=5, unique=True))))
    feature = Feature(**common, low=-1.0, high=1e18, special=special)
    return Bins(feature, edges=edges, unknown=unknown)


@st.composite
def cards(draw, columns=FEW, holder=EITHER, paired=EITHER, missing=EITHER):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=draw(columns), max_size=4, unique=True))
    found = [draw(bins(BANK, name, missing=missing)) for name in names]
    held = []
    if draw(holder):
        held = [draw(bins("tax", name, unknown=True, missing=missing)) for name in ("debt", "欠税")]
        held.append(Bins.public(known_feature("tax")))
    every = [*found, *held]
    for group in (found, held[:-1]):
        if len(group) > 1 and draw(paired):
            every.append(pair_bins(group[0], group[1]))
    seed = np.random.default_rng(draw(st.integers(0, 10**6)))
    return Scorecard(
        study="small",
        bins=tuple(every),
        points=tuple(tuple(int(v) for v in seed.integers(-90, 90, b.size)) for b in every),
        base_points=draw(st.integers(300, 700)),
        averages=tuple(float(v) for v in seed.normal(0, 9, len(every))),
        intercept=-2.9,
        rate=0.06,
        sd=30.0,
        gap=40.0,
        partial_sd={BANK: 20.0} | ({"tax": 9.0} if held else {}),
        notice=draw(st.sampled_from((None, "research run: no privacy"))),
        calibration=draw(st.sampled_from((None, STRAIGHT, BENT))),
        scale=draw(st.sampled_from((STANDARD, Scale(double=40.0, score=660.0, odds=15.0)))),
    )


def near(edge):
    return [edge, np.nextafter(edge, -np.inf), np.nextafter(edge, np.inf)]


def values_of(b):
    """What a column may hold: every edge and its neighbours, special codes, texts that are not listed, nothing."""
    if b.feature.kind == "category":
        found = [*(t for texts in b.category_texts() for t in texts), "not listed", "其他", "2"]
        gone = None
    else:
        found = [v for edge in b.edges for v in near(edge)]
        found += [(a + c) / 2 for a, c in pairwise(b.edges)]
        found += [-9.0, -8.0, -8.5, 0.0, -0.0, 1.0, np.inf, -np.inf, 1e300, 5e-324]
        gone = float("nan")
    return st.sampled_from([*found, gone] if b.feature.missing else found)


@st.composite
def tables(draw, card, rows=ROWS):
    """Columns by (institution, column), with one of 0 and 1 for each holder that knows."""
    n = draw(rows)
    out = {}
    for b in card.bins:
        if b.feature.kind == "known":
            values = st.sampled_from((0.0, 1.0))
        elif b.feature.kind == "pair":
            continue
        else:
            values = values_of(b)
        column = draw(st.lists(values, min_size=n, max_size=n))
        kind = object if b.feature.kind == "category" else np.float64
        out[b.feature.institution, b.feature.column] = pd.Series(column, dtype=kind)
    return out


def own_codes(card, institution, table):
    """Codes of an institution's features, (n, features), by the card's bins, as a study computes them."""
    columns = []
    known = table.get((institution, "(known)"))
    for j in card.features_of(institution):
        b = card.bins[j]
        if b.feature.kind == "pair":
            continue
        values = table[institution, b.feature.column]
        codes = b.codes(values).astype(np.int64)
        if known is not None:
            unknown = np.full(len(codes), b.size - 1)
            codes = np.where(known.to_numpy() == 1, codes, unknown)
        columns.append(codes)
    return with_pair_codes(card, institution, np.stack(columns, 1).astype(np.uint16))


def institutions_of(card):
    return list(dict.fromkeys(b.feature.institution for b in card.bins))


def whole_points(card, table):
    """Sum of all points with the base, (n,)."""
    return card.base_points + sum(
        card.institution_points(name, list(own_codes(card, name, table).T)) for name in institutions_of(card)
    )


def frame_of(part, table, external=None):
    """The table with the names of an export's inputs."""
    out = {"id": pd.Series([f"r{k}" for k in range(len(next(iter(table.values()))))], dtype=object)}
    for c in part.columns:
        out[c.name] = table[c.bins.feature.institution, c.bins.feature.column]
    if part.external is not None:
        out["external_points"] = pd.Series(external, dtype=object)
    return pd.DataFrame(out)
