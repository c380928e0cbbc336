"""The loans of a month beside what they were in the months before, by the same model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from fedrisk.watching.history import SCORES, WARNING, Kept
from fedrisk.watching.month import Month

REASONS: Final = tuple(f"reason_{k}" for k in range(1, 5))
"""Columns of an answer with its reasons."""


@dataclass(frozen=True, kw_only=True)
class Loan:
    """One loan in a month, which has a score. before, since, external: None where there is nothing to compare with."""

    enterprise: str
    model: str
    score: int
    probability: float
    reasons: tuple[str, ...]
    before: int | None = None
    since: str | None = None
    external: int | None = None
    warning: int | None = None


@dataclass(frozen=True, eq=False)
class Compared:
    """A month beside those before it.

    Attributes:
        model: which gave the month's scores.
        now: loans with a score, by enterprise in the order of the month: ``score``, ``probability``, reasons,
            ``external_points``, ``warning`` (the warning model's score, NaN without one), and of the best score of the
            months before ``before``, ``since`` (a place in ``months``) and ``external_before``, NaN for none.
        months: those that are compared with, the newest first; scores: of each.
        everybody: enterprises with an active loan in the month, those without a score among them.
    """

    model: str
    now: pd.DataFrame
    months: tuple[Month, ...]
    scores: tuple["pd.Series[Any]", ...]
    everybody: frozenset[str]

    @classmethod
    def of(cls, kept: Kept, month: Month, back: int) -> "Compared":
        """A month that is kept beside up to ``back`` calendar months before it in which the same model was watched."""
        model = str(kept.about(month)["model"])
        there = set(kept.months())
        earlier = [m for k in range(1, back + 1) if (m := month.minus(k)) in there]
        months = tuple(m for m in earlier if kept.about(m)["model"] == model)
        now = _scored(kept, month, ["score", "probability", "external_points", *REASONS])
        now["before"], now["since"], now["external_before"] = np.nan, -1, np.nan
        past = [_scored(kept, m, ["score", "external_points"]) for m in months]
        for place, old in enumerate(past):
            score = old["score"].reindex(now.index).to_numpy(float)
            # Of equal scores the newest month counts: reasons are compared with what was true last.
            better = ~np.isnan(score) & ~(score <= now["before"].to_numpy())
            now.loc[better, "before"] = score[better]
            now.loc[better, "since"] = place
            external = old["external_points"].reindex(now.index).to_numpy(float)
            now.loc[better, "external_before"] = external[better]
        # A warning model may be the watched one itself.
        now["warning"] = now["score"].astype(float)
        if kept.file(month, WARNING).is_file():
            now["warning"] = (
                _scored(kept, month, ["score"], WARNING)["score"].reindex(now.index).astype(float)
            )
        everybody = frozenset(kept.read_month(month, ["id"])["id"].to_pylist())
        return cls(model, now, months, tuple(old["score"] for old in past), everybody)

    def listed(self, enterprises: Iterable[str]) -> list[str]:
        """Those of them that have a score, in the order of the month."""
        wanted = self.now.index.isin(list(enterprises))
        return [str(one) for one in self.now.index[wanted]]

    def loan(self, enterprise: str) -> Loan:
        """One loan of the month."""
        row: dict[Any, Any] = self.now.loc[enterprise].to_dict()
        has = not np.isnan(row["before"])
        external = row["external_points"] - row["external_before"] if has else np.nan
        return Loan(
            enterprise=enterprise,
            model=self.model,
            score=int(row["score"]),
            probability=float(row["probability"]),
            reasons=tuple(said for name in REASONS if isinstance(said := row[name], str) and said),
            before=int(row["before"]) if has else None,
            since=str(self.months[int(row["since"])]) if has else None,
            external=None if pd.isna(external) else int(external),
            warning=None if np.isnan(row["warning"]) else int(row["warning"]),
        )

    def best_since(self, enterprise: str, month: Month) -> int | None:
        """The best score from a month on, before this one; None where it has none."""
        found = [
            float(scores[enterprise])
            for m, scores in zip(self.months, self.scores, strict=True)
            if m >= month and enterprise in scores.index
        ]
        return int(max(found)) if found else None


def _scored(kept: Kept, month: Month, columns: list[str], of: str = SCORES) -> pd.DataFrame:
    """Rows with a score by enterprise; of one that stands twice the first."""
    frame = kept.read_month(month, ["id", *columns], of).to_pandas()
    scored: pd.DataFrame = frame[frame["score"].notna()].drop_duplicates("id").set_index("id")
    return scored
