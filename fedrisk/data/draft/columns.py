"""What a column is, proposed from its values and its name: kind, bounds, bins, codes; or why it is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fedrisk.data.column_rules import MAX_BINS
from fedrisk.data.draft import names
from fedrisk.data.draft.look import RARE, Look
from fedrisk.data.draft.rounding import COUNT_EDGES, code_edges, outward, quantile, steps, up
from fedrisk.data.typed import FLAGS, day_of

FEW = 12
"""Most different whole numbers that are read as codes, each with a bin of its own."""

LONGEST = 60
"""Longest text that is taken for a category."""

TAIL = 10.0
"""A column has a long tail where its 99th percentile is so many times its median."""

_YEARS = r"(1[89]|2[01])\d{2}"
_DAY = re.compile(
    rf"{_YEARS}[-/.年]\d{{1,2}}([-/.月]\d{{1,2}}日?)?([T ].*)?|{_YEARS}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
)
_OTHER_DATE = re.compile(
    r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}( .*)?|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4}|[A-Za-z]{3,9} \d{1,2}, \d{4}"
)
_CODE = re.compile(r"-[1-9]|-9+\d?")
_LOST = re.compile(r"\d(\.\d+)?[eE]\+?\d+")
_NINES = re.compile(r"9{2,}")


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One column of a draft.

    Attributes:
        source: the column's name in the table.
        kind: number, category, flag or date.
        settings: the other keys, in the order in which they are written.
        why: a comment for some of the keys.
        confirm: keys that follow from the table, which a person has to confirm.
        left_out: why the column is not described; None where it is.
    """

    source: str
    kind: str = "number"
    settings: Mapping[str, Any] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    confirm: tuple[str, ...] = ()
    left_out: str | None = None


def propose(look: Look) -> Proposal:
    """What a column is; the first rule that knows it."""
    for rule in _RULES:
        found = rule(look)
        if found is not None:
            return found
    return _left_out(look, "texts of many different values; group them at the source and list the groups")


def _left_out(look: Look, reason: str) -> Proposal:
    return Proposal(source=look.name, left_out=reason)


# --- columns that say nothing, or too much ------------------------------------------------------------------


def has_lost_digits(look: Look) -> bool:
    """Whether ids were numbers in floating point once: they are in scientific notation, and no longer ids."""
    return (
        names.says(look.name, "id")
        and look.share(np.array([bool(_LOST.fullmatch(t)) for t in look.texts])) > 0.5
    )


def _lost(look: Look) -> Proposal | None:
    if look.present and has_lost_digits(look):
        return _left_out(look, "its ids lost their digits in floating point; export the column as text")
    return None


def _unusable(look: Look) -> Proposal | None:
    if not look.name:
        return _left_out(look, "it has no name in the table; write one there")
    return _left_out(look, look.unreadable) if look.unreadable else None


def _empty(look: Look) -> Proposal | None:
    if not look.present:
        return _left_out(look, "empty in every row")
    if look.distinct == 1:
        gaps = "; recode it as 1 and 0 if an empty cell means no" if look.present < look.rows else ""
        return _left_out(look, f"the same value in every row that has one{gaps}")
    return None


def _person(look: Look) -> Proposal | None:
    many = look.distinct > MAX_BINS
    if many and names.says(look.name, "person") and (look.numeric < 0.5 or look.distinct > look.present / 2):
        return _left_out(look, "names, addresses and contacts are no features")
    return None


def is_key(look: Look) -> bool:
    """Whether the values tell enterprises apart and are no measurements: texts, or long, running or named numbers."""
    if (
        has_lost_digits(look)
        or look.distinct < 0.98 * look.present
        or look.present < look.rows / 2
        or look.distinct < FEW
    ):
        return False
    if look.numeric < 0.98 or look.zero_led:
        # Texts of the length of names are no keys; other unique texts are.
        return True
    whole = np.isfinite(look.numbers) & (look.numbers == np.round(look.numbers))
    if not whole.all() or (look.numbers < 0).any():
        return False
    long = min(len(t) for t in look.texts) >= 8
    spread = look.numbers.max() - look.numbers.min() + 1
    running = spread <= 1.05 * look.distinct and look.distinct > MAX_BINS
    return long or running or names.says(look.name, "id")


def _key(look: Look) -> Proposal | None:
    return _left_out(look, "tells rows apart as an identifier does") if is_key(look) else None


# --- dates --------------------------------------------------------------------------------------------------


def is_date(look: Look) -> bool:
    """Whether a study could read the values as days."""
    fits = _fits(look, _DAY)
    return fits is not None and all(day_of(t) is not None for t in look.texts[fits][:1000])


def _fits(look: Look, form: re.Pattern[str]) -> npt.NDArray[np.bool_] | None:
    """Which values have a form, where nearly all have it, else None; a few values tell it of most columns."""
    if look.distinct < 2 or sum(bool(form.fullmatch(t)) for t in look.texts[:50]) < 25 < look.distinct:
        return None
    fits = np.array([bool(form.fullmatch(t)) for t in look.texts])
    return fits if look.share(fits) >= 0.99 else None


def _date(look: Look) -> Proposal | None:
    if is_date(look):
        return Proposal(source=look.name, kind="date", settings={"feature": False})
    if _fits(look, _OTHER_DATE) is not None:
        return _left_out(
            look,
            "days with the year last; write them as 2025-01-31 at the source where a study needs them",
        )
    return None


# --- flags and categories -----------------------------------------------------------------------------------


def _flag(look: Look) -> Proposal | None:
    known = [FLAGS.get(t.lower(), np.nan) for t in look.texts]
    if set(known) != {0.0, 1.0}:
        return None
    return Proposal(source=look.name, kind="flag")


def _nominal(look: Look) -> Proposal | None:
    """Codes without an order: by their zeros, their texts or their name."""
    called = names.says(look.name, "code")
    if look.numeric >= 0.9 and not look.zero_led and not called:
        return None
    whole = bool(np.all(np.isnan(look.numbers) | (look.numbers == np.round(look.numbers))))
    if look.numeric >= 0.9 and not whole:
        return None
    if look.numeric >= 0.9 and not look.zero_led and look.distinct > MAX_BINS and not _is_code_like(look):
        return None
    if names.says(look.name, "industry") and look.distinct > MAX_BINS:
        return _category(look, prefix=2)
    return _category(look)


def _is_code_like(look: Look) -> bool:
    """Whether whole numbers are codes although there are many: most have as many digits, as post codes do."""
    lengths = np.array([len(t) for t in look.texts])
    usual = int(np.bincount(lengths).argmax())
    return (usual >= 3 and look.share(lengths == usual) > 0.5) or names.says(look.name, "industry")


def _category(look: Look, prefix: int | None = None) -> Proposal | None:
    counted: dict[str, int] = dict(_listed_words(look))
    unknown = {t for t in look.texts if names.plain(t) in names.values("unknown") or (prefix and t == "0")}
    for text, count in zip(look.texts, look.counts, strict=True):
        if text not in unknown:
            short = text[:prefix].strip() if prefix else text
            counted[short] = counted.get(short, 0) + int(count)
    listed = sorted((t for t, n in counted.items() if n >= RARE), key=_in_order)
    rare = len(counted) - len(listed)
    unlisted = sum(n for n in counted.values() if n < RARE)
    total = sum(counted.values())
    if any(len(t) > LONGEST for t in listed):
        return _left_out(look, "long texts; code them at the source")
    if not 2 <= len(listed) <= MAX_BINS or unlisted > 0.1 * total or len(counted) > 4 * MAX_BINS:
        many = len(listed) >= 2
        return _left_out(
            look,
            f"{look.distinct:,} different codes or texts; group them at the source, or list the important ones"
            if many
            else f"all but fewer than {RARE} rows have one value",
        )
    return _listed(look, listed, rare, unlisted, total, sorted(unknown, key=_in_order), prefix)


def _listed_words(look: Look) -> dict[str, int]:
    """Words for missing values that are values here: "NA" among codes of two letters is Namibia, or North America."""
    codes = np.array([bool(re.fullmatch("[A-Z]{2}", t)) for t in look.texts])
    return {"NA": look.missing["NA"]} if "NA" in look.missing and look.share(codes) > 0.9 else {}


def _listed(
    look: Look,
    listed: list[str],
    rare: int,
    unlisted: int,
    total: int,
    unknown: list[str],
    prefix: int | None,
) -> Proposal:
    settings: dict[str, Any] = {"categories": listed}
    why = {"categories": "the values of the table; write the public list, in its order"}
    if rare:
        why["categories"] += (
            f". {rare} rarer {'values are' if rare > 1 else 'value is'} not named ({unlisted:,} rows): what is not "
            "listed counts as missing"
        )
    confirm = ["categories"]
    if prefix:
        settings["prefix"] = prefix
        why["prefix"] = "so many characters of the code, the industry's section"
    if unlisted > 0.01 * total:
        settings["outside"] = up(1.05 * unlisted / total)
        why["outside"] = "most that may be missing from the list, as a share"
        confirm.append("outside")
    if unknown:
        settings["missing_values"] = unknown
    return Proposal(source=look.name, kind="category", settings=settings, why=why, confirm=tuple(confirm))


def _in_order(text: str) -> tuple[float, str]:
    """Numbers by size before texts, so that the order of a list tells nothing about frequencies."""
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text


# --- numbers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Numbers:
    """A column's numbers without codes: sorted different values with their rows; codes; texts that are no numbers."""

    values: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    codes: tuple[tuple[str, int], ...]
    texts: tuple[str, ...]

    def at(self, share: float) -> float:
        """The value that this share of the rows does not exceed."""
        return quantile(self.values, self.counts, share)

    @property
    def whole(self) -> bool:
        """Whether all are whole numbers."""
        return bool((self.values == np.round(self.values)).all())


def _number(look: Look) -> Proposal | None:
    if look.numeric < 0.9:
        return None
    numbers = _without_codes(look)
    if numbers is None:
        return _left_out(look, "numbers with many different texts among them; clean it at the source")
    if len(numbers.values) < 2:
        return _left_out(look, "one number only, beside codes")
    settings: dict[str, Any] = {}
    why: dict[str, str] = {}
    for shape in (_few, _age, _year, _share, _counts, _amount):
        found = shape(look, numbers)
        if found is not None:
            settings, why = found
            break
    if not settings:
        return _left_out(look, f"all but fewer than {RARE} rows have one value")
    _add_codes(numbers, settings, why)
    confirm = tuple(k for k in ("low", "high", "bins", "outside", "special") if k in settings)
    if towards := names.direction(look.name):
        settings["direction"] = towards
        why["direction"] = (
            "of the RISK as the value rises: from the name; remove it where either way is plausible"
        )
    return Proposal(source=look.name, kind="number", settings=settings, why=why, confirm=confirm)


def _without_codes(look: Look) -> _Numbers | None:
    good = np.isfinite(look.numbers)
    texts = tuple(look.texts[~good])
    if len(texts) > 5:
        return None
    order = np.argsort(look.numbers[good], kind="stable")
    spelt, spelt_counts = look.numbers[good][order], look.counts[good][order]
    values, places = np.unique(spelt, return_inverse=True)
    counts = np.bincount(places, weights=spelt_counts).astype(np.int64)
    coded = _codes_among(values, counts)
    codes = tuple(
        (f"{v:g}" if abs(v) < 1e6 else f"{v:.0f}", int(c))
        for v, c in zip(values[coded], counts[coded], strict=True)
    )
    return _Numbers(values[~coded], counts[~coded], codes, texts)


def _codes_among(values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which values are codes: -1, -9, -999 where nothing else is negative; 99, 999 far above everything else."""
    none = np.zeros(len(values), dtype=bool)
    negative = values < 0
    coded = none.copy()
    if 0 < negative.sum() <= 5 and all(
        _CODE.fullmatch(f"{v:.0f}") for v in values[negative] if v == round(v)
    ):
        whole = bool((values[negative] == np.round(values[negative])).all())
        rest = values[~negative]
        # Next to few whole numbers -1 and -2 may be grades of the same scale; -9 and less are not.
        scale = len(rest) <= FEW and bool((rest == np.round(rest)).all()) and values[0] > -9
        if whole and not scale and len(rest) > 1 and counts[negative].max() >= 3:
            coded |= negative
    rest = values[~coded]
    for v in rest[::-1][:3]:
        below = rest[rest < v - 9]
        if v > 0 and _NINES.fullmatch(f"{v:.0f}") and len(below) > 1 and below[-1] < v / 1.5:
            top = values >= v - 9
            if counts[top & ~coded].max() >= 3:
                coded |= top
            break
    return coded


def _add_codes(numbers: _Numbers, settings: dict[str, Any], why: dict[str, str]) -> None:
    often = [code for code, rows in numbers.codes if rows >= RARE]
    seldom = [code for code, rows in numbers.codes if rows < RARE]
    if often:
        settings["special"] = {code: f"code {code}" for code in often}
        why["special"] = (
            "each a bin of its own: say what it means; one that only means unknown belongs in missing_values"
        )
    if missing := [*numbers.texts, *(_as_number(code) for code in seldom)]:
        settings["missing_values"] = missing
        why["missing_values"] = "these look like codes; only this institution sees them"


def _as_number(code: str) -> float | int:
    return int(code) if code.lstrip("-").isdigit() else float(code)


Shape = tuple[dict[str, Any], dict[str, str]] | None


def _few(look: Look, n: _Numbers) -> Shape:
    if len(n.values) > FEW or not n.whole:
        return None
    least = max(RARE, int(0.005 * n.counts.sum()))
    edges = code_edges(n.values.tolist(), n.counts.tolist(), least)
    if not edges:
        return {}, {}
    low, high = outward(float(n.values[0]), float(n.values[-1]))
    low, high = _beyond(low, high, edges)
    said = "a bin for each code, rare ones at the ends together; public edges cost no privacy"
    return {"low": low, "high": high, "bins": list(edges)}, {"bins": said}


def _beyond(low: float, high: float, edges: tuple[float, ...]) -> tuple[float, float]:
    """Bounds with all edges strictly between them."""
    return min(low, edges[0] - 0.5), max(high, edges[-1] + 0.5)


def _age(look: Look, n: _Numbers) -> Shape:
    if not names.says(look.name, "age") or n.at(0.001) < 14 or n.at(0.999) > 110:
        return None
    return {"low": 18, "high": 100}, dict.fromkeys(("low", "high"), "by its meaning, the age of a person")


def _year(look: Look, n: _Numbers) -> Shape:
    if not names.says(look.name, "year") or not n.whole or n.at(0.001) < 1850 or n.at(0.999) > 2150:
        return None
    low, high = np.floor(n.at(0.001) / 10) * 10, np.ceil(n.at(0.999) / 10) * 10
    said = "a calendar year mostly tells which crisis a loan ran into; an age in years says more of the next loan"
    return {"low": float(low), "high": float(max(high, low + 10))}, {"low": said}


def _share(look: Look, n: _Numbers) -> Shape:
    low, high = n.at(0.001), n.at(0.999)
    percent = names.says(look.name, "percent") and high > 1.5
    top = 100 if percent else 1
    if low < 0 or high > top or (n.whole and not percent) or high < top / 5:
        return None
    if _narrow(n, 0, top):
        return None
    said = f"by its meaning, a share{'' if top == 1 else ' in per cent'}"
    return {"low": 0, "high": top}, dict.fromkeys(("low", "high"), said)


def _counts(look: Look, n: _Numbers) -> Shape:
    if not n.whole or n.values[0] < 0 or n.at(0.5) > 10:
        return None
    least = max(RARE, int(0.005 * n.counts.sum()))
    edges, below, total = [], 0, int(n.counts.sum())
    for edge in COUNT_EDGES:
        reached = int(n.counts[n.values < edge].sum())
        if reached - below >= least and total - reached >= least:
            edges.append(edge)
            below = reached
    if not edges:
        return {}, {}
    high = max(up(2 * n.at(0.999)), up(edges[-1] + 1))
    said = "counts: edges that suit any count, so that they cost no privacy"
    return {"low": 0, "high": high, "bins": edges}, {"bins": said}


def _amount(look: Look, n: _Numbers) -> Shape:
    size = np.abs(n.values)
    order = np.argsort(size, kind="stable")
    sizes, counts = size[order], n.counts[order]
    positive = sizes > 0
    middle = quantile(sizes[positive], counts[positive], 0.5)
    if quantile(sizes, counts, 0.99) > TAIL * middle:
        low, high = outward(2 * min(n.at(0.001), 0.0), 2 * max(n.at(0.999), 0.0))
        return {"low": low, "high": high, "grid": "log"}, {
            "grid": "a long tail: cells are fine where most values are"
        }
    low, high = outward(n.at(0.001), n.at(0.999))
    if not _narrow(n, low, high):
        return {"low": low, "high": high}, {}
    low, high = steps(n.at(0.005), n.at(0.995))
    beyond = float(n.counts[(n.values < low) | (n.values > high)].sum() / n.counts.sum())
    settings: dict[str, Any] = {"low": low, "high": high}
    why = {
        "low": "most values lie close together: bounds around them, and what lies beyond counts as the bound"
    }
    if beyond > 0.009:
        settings["outside"] = up(1.1 * beyond)
    return settings, why


def _narrow(n: _Numbers, low: float, high: float) -> bool:
    """Whether nine rows of ten lie in less than a tenth of the bounds, so that a linear grid has few cells for them."""
    return n.at(0.95) - n.at(0.05) < 0.1 * (high - low)


_RULES: tuple[Callable[[Look], Proposal | None], ...] = (
    _unusable,
    _lost,
    _empty,
    _date,
    _person,
    _key,
    _flag,
    _nominal,
    _number,
)
