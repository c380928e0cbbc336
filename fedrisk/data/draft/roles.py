"""Which column is the enterprise's id, which one the outcome, and which date the observation's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from fedrisk.alignment.ids import USCC_LENGTH, Scheme, normalise
from fedrisk.data.draft import names
from fedrisk.data.draft.columns import is_date, is_key
from fedrisk.data.draft.look import RARE, Look

KNOWN_LATER = 0.92
"""AUC of one column alone from which a person is asked whether it is known only after the outcome."""

SURE = 5
"""Points of a column whose name is one of an outcome and whose values say which is which."""

_GROUPS = 400
_RANGES = 40
_SAMPLE = 20_000


@dataclass(frozen=True, kw_only=True)
class IdFound:
    """The id column, None where no column can be one, and what is notable about it.

    scheme: of its ids; valid: share of credit codes among them. running: whether they are row numbers. repeated: rows
    whose id another row has too. others: columns that could be the id as well.
    """

    column: str | None
    scheme: Scheme = "opaque"
    valid: float = 0.0
    running: bool = False
    repeated: int = 0
    others: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LabelFound:
    """The outcome: values that mean default and values that mean none; both empty where a person has to say."""

    column: str
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    without: int = 0
    others: tuple[str, ...] = ()


def find_id(looks: Sequence[Look]) -> IdFound:
    """The column that names enterprises: different in (nearly) every row, best with a name or form that says so."""
    # Credit codes are ids also where an enterprise has several rows, as the table of its loans has.
    keys = [look for look in looks if is_key(look) or credit_codes(look) > 0.5]
    if not keys:
        return IdFound(column=None)
    best = max(keys, key=lambda look: (_id_score(look), -list(looks).index(look)))
    others = tuple(look.name for look in keys if look is not best and _id_score(look) >= 2)
    return replace(id_of(best), others=others)


def id_of(look: Look) -> IdFound:
    """A column that a person named as the id."""
    valid = credit_codes(look)
    return IdFound(
        column=look.name,
        scheme="uscc" if valid >= 0.9 else "opaque",
        valid=valid,
        running=_running(look),
        repeated=int(look.counts[look.counts > 1].sum()),
    )


def credit_codes(look: Look) -> float:
    """Share of a column's values that are unified social credit codes with the right check character."""
    # Most columns are told from credit codes by their length.
    if not look.distinct or not any(len(t) >= USCC_LENGTH for t in look.texts[:100]):
        return 0.0
    _, refused = normalise(look.texts[:_SAMPLE], "uscc")
    return float(1 - refused.mean())


def _id_score(look: Look) -> int:
    score = 8 * (credit_codes(look) > 0.5) + 4 * names.says(look.name, "credit_code")
    score += 2 * names.says(look.name, "id") - 4 * names.says(look.name, "person")
    return score + (look.present == look.rows and look.distinct == look.rows)


def _running(look: Look) -> bool:
    """Whether ids are just row numbers: whole numbers without gaps from the beginning."""
    x = look.numbers
    return bool(np.isfinite(x).all() and x.min() in (0, 1) and x.max() - x.min() + 1 == look.distinct)


def find_label(looks: Sequence[Look], *, least: int = 1) -> LabelFound | None:
    """The outcome by its name and its two values; None where no column looks like one.

    least: how sure it has to be, `SURE` where a column must not be taken for one by a word like "late" alone.
    """
    scored = [(score, k, look) for k, look in enumerate(looks) if (score := _label_score(look)) >= least]
    if not scored:
        return None
    _, _, best = max(scored, key=lambda s: s[:2])
    found = label_of(best)
    others = tuple(look.name for score, _, look in scored if look is not best and score > 1)
    return LabelFound(**{**vars(found), "others": others})


def label_of(look: Look) -> LabelFound:
    """A column as the outcome, with what its values mean where they say so."""
    plain = {t: names.plain(t) for t in look.texts}
    positive = tuple(t for t in look.texts if plain[t] in names.values("positive"))
    negative = tuple(t for t in look.texts if plain[t] in names.values("negative"))
    if names.says(look.name, "good") and not names.says(look.name, "outcome"):
        positive, negative = negative, positive
    if not positive or not negative:
        return LabelFound(column=look.name)
    known = np.isin(look.texts, [*positive, *negative])
    return LabelFound(
        column=look.name,
        positive=tuple(sorted(positive)),
        negative=tuple(sorted(negative)),
        without=look.rows - int(look.counts[known].sum()),
    )


def _label_score(look: Look) -> int:
    if look.distinct < 2 or look.distinct > 12 or is_date(look):
        return 0
    score = 4 * names.says(look.name, "outcome") + 3 * names.says(look.name, "target")
    score += names.says(look.name, "status")
    if not score:
        return 0
    found = label_of(look)
    if not found.positive:
        return score if look.distinct == 2 else 0
    of_both = look.share(np.isin(look.texts, [*found.positive, *found.negative]))
    return score + 2 if of_both > 0.5 and min(look.counts) >= RARE else 0


def find_as_of(looks: Sequence[Look]) -> str | None:
    """The date as of which a row was observed, where a name says so."""
    return next((k.name for k in looks if names.says(k.name, "as_of") and is_date(k)), None)


def outcomes(look: Look, found: LabelFound) -> npt.NDArray[np.float64]:
    """(n,) 1 for default, 0 for none, NaN for rows without a label."""
    meaning = [1.0 if t in found.positive else 0.0 if t in found.negative else np.nan for t in look.texts]
    return np.array([*meaning, np.nan])[look.codes]


def foretells(look: Look, outcome: npt.NDArray[np.float64]) -> float:
    """AUC of a column alone, on every other row, of default rates by value or range on the rows between."""
    known = np.isfinite(outcome)
    groups, y = _coarse(look)[look.codes][known], outcome[known]
    learnt, judged = slice(0, None, 2), slice(1, None, 2)

    def counted(part: slice) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        rows = np.bincount(groups[part], minlength=_GROUPS + 2).astype(np.float64)
        bad = np.bincount(groups[part], weights=y[part], minlength=_GROUPS + 2).astype(np.float64)
        return bad, rows - bad

    bad, good = counted(learnt)
    rate = (bad + y.mean()) / (bad + good + 1)
    bad, good = counted(judged)
    order = np.argsort(rate, kind="stable")
    bad, good = bad[order], good[order]
    if not bad.sum() or not good.sum():
        return 0.5
    below = np.cumsum(good) - good
    return float(((below + good / 2) * bad).sum() / (bad.sum() * good.sum()))


def _coarse(look: Look) -> npt.NDArray[np.int64]:
    """For each value, and last for a missing one, its group: the most frequent values, and ranges of the others."""
    groups = np.full(look.distinct + 1, _GROUPS, dtype=np.int64)
    groups[-1] = _GROUPS + 1
    if look.numeric < 0.9 or look.distinct <= _GROUPS:
        top = np.argsort(-look.counts, kind="stable")[:_GROUPS]
        groups[top] = np.arange(len(top))
        return groups
    good = np.isfinite(look.numbers)
    order = np.argsort(look.numbers[good], kind="stable")
    counts = look.counts[good][order]
    middle = (np.cumsum(counts) - counts / 2) / counts.sum()
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.minimum(_RANGES - 1, (_RANGES * middle).astype(np.int64))
    groups[:-1][good] = places
    return groups


Kind = Literal["bank", "holder"]
