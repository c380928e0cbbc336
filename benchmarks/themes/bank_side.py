"""What banks are given by theme in an emulated study, by the product's own code for grids, bands and sums."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "calibration"))
sys.path.insert(0, str(HERE.parent / "own_models"))
from banks import banks_of  # noqa: E402
from emulation import Emulated, Portfolio  # noqa: E402

from fedrisk.privacy.policy import Policy  # noqa: E402
from fedrisk.recipes import recipe_of  # noqa: E402
from fedrisk.recipes.scorecard import score_grid  # noqa: E402
from fedrisk.recipes.scorecard.delivery import Scored  # noqa: E402
from fedrisk.recipes.scorecard.themes import ScoreSum  # noqa: E402
from fedrisk.study_members import BANK  # noqa: E402


def with_themes(data: Portfolio, themes: Any) -> Portfolio:
    """The same with the study's themes; None for one number."""
    settings = {k: v for k, v in data.study.settings.items() if k != "themes"}
    study = data.study.model_copy(update={"settings": settings | ({"themes": themes} if themes else {})})
    return replace(data, study=recipe_of(study).checked(study))


class Given:
    """What all holders give of all rows. policy: of each of them."""

    def __init__(self, data: Portfolio, study: Emulated, policy: Policy) -> None:
        card, codes = study.first, data.codes(study.first.bins)
        weight = [
            np.bincount(c[study.train], minlength=b.size) / len(study.train)
            for c, b in zip(codes, card.bins, strict=True)
        ]
        score_grid.told_counts = lambda attempt: ([], None, SimpleNamespace(weight=weight))
        self.sums: tuple[ScoreSum, ...] = ()
        self.raw: dict[str, NDArray[np.int64]] = {}
        for holder in data.study.holders:
            attempt = SimpleNamespace(
                study=data.study,
                role=holder,
                name=holder,
                plan=SimpleNamespace(features=[b.feature for b in card.bins if b.feature.is_column]),
                statements=dict.fromkeys(data.study.holders, policy),
                node=SimpleNamespace(institution=SimpleNamespace(policy=policy)),
            )
            self.sums = score_grid.sums_of(attempt)
            for one in self.sums:
                if holder not in one.holders:
                    continue
                exact = np.zeros(len(data), np.int64)
                for j in one.places(card, holder):
                    exact += np.asarray(card.points[j], np.int64)[codes[j]]
                table = score_grid.given_points(attempt, card, one)
                self.raw[one.name] = self.raw.get(one.name, 0) + table.of(exact)
        self.card = study.card

    @property
    def external(self) -> NDArray[np.int64]:
        """All holders' points on the card's scale, (n,)."""
        return self.card.scaled_points(self.card.calibration, np.sum(list(self.raw.values()), axis=0))

    @property
    def by_theme(self) -> dict[str, NDArray[np.int64]]:
        """The same by theme; empty where there is one sum."""
        if len(self.raw) < 2:
            return {}
        return {n: self.card.scaled_points(self.card.calibration, v) for n, v in self.raw.items()}


def scored_banks(data: Portfolio, study: Emulated, given: Given) -> list[tuple[str, Scored]]:
    """Each bank's customers, with what it is given."""
    external, themes, out = given.external, given.by_theme, []
    for bank, scored in banks_of(data, study):
        rows = np.flatnonzero(data.bank == bank)
        total = scored.own + study.card.base_points + external[rows]
        mine = {name: points[rows] for name, points in themes.items()}
        out.append((bank, replace(scored, external=external[rows], total=total, by_theme=mine)))
    return out


def entropy(values: Sequence[NDArray[Any]] | NDArray[Any]) -> float:
    """Bits of one or several discrete columns together, of their counts on the rows."""
    table = np.stack(values if isinstance(values, list | tuple) else [values], 1)
    _, count = np.unique(table, axis=0, return_counts=True)
    share = count / count.sum()
    return float(-(share * np.log2(share)).sum())


def information(given: NDArray[Any], column: NDArray[Any]) -> float:
    """Mutual information in bits of a given number with a column's bins, less its bias (Miller 1955).

    The bias of the plain estimate is about (cells - values - bins + 1) / (2 n ln 2).
    """
    plain = entropy(given) + entropy(column) - entropy([given, column])
    cells = [len(np.unique(np.stack(part, 1), axis=0)) for part in ([given, column], [given], [column])]
    bias = (cells[0] - cells[1] - cells[2] + 1) / (2 * len(column) * np.log(2))
    return max(0.0, plain - bias)


def columns_of_holders(data: Portfolio, study: Emulated) -> dict[str, NDArray[np.int64]]:
    """Bins of each holder's column, by name: what of the raw column a score can tell at all."""
    codes = data.codes(study.bins)
    return {
        b.feature.name: c
        for b, c in zip(study.bins, codes, strict=True)
        if b.feature.is_column and b.feature.institution != BANK
    }
