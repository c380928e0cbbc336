"""An emulated study with its record, twenty-four edits of its card, and what each of them does on rows nobody trained on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "contribution"), str(HERE.parent / "calibration"), str(HERE.parent.parent)]

import emulation  # noqa: E402
from emulation import Portfolio, split  # noqa: E402
from provinces import bare_record  # noqa: E402

from fedrisk.metrics import auc  # noqa: E402
from fedrisk.models.calibration import logistic_fit  # noqa: E402
from fedrisk.models.card_edit import CardEdit  # noqa: E402
from fedrisk.recipes.scorecard.edited import CardSource, CardState  # noqa: E402
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS  # noqa: E402
from fedrisk.recipes.scorecard.plan import make_plan  # noqa: E402
from fedrisk.releases.record import ReleaseRecord  # noqa: E402
from fedrisk.study_members import BANK  # noqa: E402

Floats = NDArray[np.float64]


def record_of(data: Portfolio, *, holdout: int, noise: int) -> ReleaseRecord:
    """What a study of these rows releases, up to its calibration histogram."""
    record = bare_record(data, holdout=holdout, noise=noise)
    first = CardSource.of(record).first
    part = data.rows(split(len(data), holdout, data.study.holdout.percent)[0])
    points = emulation._points(part, first, part.codes(first.bins)).sum(1) + first.base_points
    place = np.searchsorted(first.calibration_bins(CALIBRATION_BINS), points, side="right")
    exact = np.stack([np.bincount(place, w, CALIBRATION_BINS) for w in (part.label, 1 - part.label)], 1)
    release = make_plan(data.study, data.features).release("calibration")
    rng = np.random.default_rng(50_000 + noise)
    return replace(record, releases=(*record.releases, emulation.noisy(release, {BANK: exact}, rng)))


def edits_of(source: CardSource, seed: int) -> list[tuple[str, tuple[CardEdit, ...]]]:
    """Twenty-four edits of a card as people make them, with the kind of each."""
    rng = np.random.default_rng(seed)
    first = source.first
    spread = {b.feature.name: max(p) - min(p) for b, p in zip(first.bins, first.points, strict=True)}
    columns = [b for b in first.bins if b.feature.is_column]
    strong = sorted(columns, key=lambda b: -spread[b.feature.name])
    long = [b for b in strong if b.ordered >= 6]
    out: list[tuple[str, tuple[CardEdit, ...]]] = []

    def add(kind: str, **what: object) -> None:
        out.append((kind, (CardEdit(reason="r", author="a", **what),)))  # type: ignore[arg-type]

    for b in [*strong[:5], *rng.choice(len(strong) - 5, 3, replace=False)]:
        b = b if not isinstance(b, np.integer) else strong[5 + int(b)]
        add("drop", drop=(b.feature.name,))
    for b in long[:4]:
        add("merge few", merge=(f"{b.feature.name}:1-2", f"{b.feature.name}:{b.ordered - 2}-{b.ordered - 1}"))
    for b in long[:4]:
        add("merge to four", merge=coarse(b.feature.name, b.ordered, 4))
    add("merge all", merge=tuple(t for b in long for t in coarse(b.feature.name, b.ordered, 5)))
    free = [b for b in long if b.feature.monotone is None]
    for b in free[:3]:
        trend = np.polyfit(np.arange(b.ordered), first.points[first.bins.index(b)][: b.ordered], 1)[0]
        add("monotone", monotone={b.feature.name: "falling" if trend > 0 else "rising"})
    add("sign against", sign={free[0].feature.name: against(first, free[0])})
    add("sign against", sign={free[1].feature.name: against(first, free[1])})
    add("drop weakest ten", drop=tuple(b.feature.name for b in strong[-10:]))
    holder = [b.feature.name for b in columns if b.feature.institution == columns[-1].feature.institution]
    add("drop a holder", drop=tuple(holder))
    return out


def coarse(name: str, bins: int, to: int) -> tuple[str, ...]:
    """Merges of a number's bins to so many of about the same number of bins each."""
    ends = np.round(np.linspace(0, bins, to + 1)).astype(int)
    out, at = [], 1
    for size in np.diff(ends):
        if size > 1:
            out.append(f"{name}:{at}-{at + size - 1}")
        at += 1
    return tuple(out)


def against(card: object, b: object) -> str:
    """The direction that a column does not have."""
    points = card.points[card.bins.index(b)][: b.ordered]  # type: ignore[attr-defined]
    return "rising" if np.polyfit(np.arange(len(points)), points, 1)[0] > 0 else "falling"


@dataclass(frozen=True)
class Held:
    """Rows that nobody trained on: codes on the released card's bins, and labels."""

    codes: Sequence[NDArray[np.int64]]
    label: Floats

    @classmethod
    def of(cls, data: Portfolio, source: CardSource, holdout: int) -> Held:
        """The hold-out of a study."""
        rows = data.rows(split(len(data), holdout, data.study.holdout.percent)[1])
        return cls(rows.codes(source.sums.bins), rows.label)

    def score(self, state: CardState) -> Floats:
        """Scores by a card, (n,)."""
        total = np.full(len(self.label), float(state.card.base_points))
        for k, (_, origin) in enumerate(state.features):
            total += np.asarray(state.card.points[k], float)[origin.codes][self.codes[origin.place]]
        return total

    def figures(self, state: CardState) -> dict[str, float]:
        """AUC, calibration slope, and mean probability over the rate."""
        score = self.score(state)
        p = state.card.probability(score)
        stated = np.log(p / (1 - p))
        slope = logistic_fit(float(self.label.mean()), stated[self.label == 1], stated[self.label == 0])[1]
        return {"auc": auc(self.label, p), "slope": slope, "ratio": float(p.mean() / self.label.mean())}
