"""The order of rows as it travels: the part that all members see alike, and the arrays that go to each."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import bdtr, bdtrik

from fedrisk.errors import DataError
from fedrisk.protocol.form import BlobForm, Body, Count, Digest, Form
from fedrisk.secure.keystream import encode_fields
from fedrisk.study import Study

LEAST_SHARE = 0.5
"""Share of the rows that a draw leaves below which it is not believed; rows of an earlier epoch keep their sides."""

DATED_SHARE = 0.2
"""Share for training that is reckoned with where a date decides."""

CHANCE = 1e-6
"""Chance with which a fair draw may be taken for none, before half of it is taken off."""

LEAST_INCLUDED = 0.5
"""Least share of enterprises taking part that is reckoned with, whatever the study says."""

OVERLAP_STEPS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares in common that a study can ask for; ``alignment.least_overlap`` is read as the one at or below it.

That a study stops tells on which side of the bound the overlap lies, at no charge, and whoever writes studies chooses
the bound. Of a bound that could lie anywhere, a dozen studies would find the overlap to the last enterprise.
"""

SALT_BYTES = 32
_USES = b"fedrisk uses of a list v1"


Part = Annotated[list[Count], Field(min_length=2, max_length=2)]
"""Two numbers of rows: those that something can be learnt from, and all."""


class Labelled(Body):
    """How many of a bank's rows have a label, and how many there are: of those for training, and of those held out.

    A bank gives it with its pseudonyms: before and from the boundary of a hold-out by date on, otherwise of all rows
    for both sides, as the hub's draw looks at no label. Numbers of rows are public. Which rows they are nobody but the
    bank ever knows: to all others a row without a label is one that adds nothing to a sum. Of other trainers, who learn
    without labels, it is all rows.
    """

    training: Part
    holdout: Part


def labelled_among(
    given: Mapping[str, Any], rows: Mapping[str, int], side: Literal["training", "holdout"]
) -> dict[str, int]:
    """By trainer, about how many of its list's rows on one side have a label, at least 1; all where all have one.

    From numbers that hub and members know alike. given: :class:`Labelled` by trainer, as JSON.

    >>> labelled_among({"b": {"training": [90, 120], "holdout": [90, 120]}}, {"b": 80}, "training")
    {'b': 60}
    """
    out = {}
    for name, count in rows.items():
        there, of = given[name][side]
        out[name] = max(1, -(-count * min(there, of) // of)) if of else count
    return out


class Order(Body):
    """Counts of rows by list, how many have a label, and a digest of what each list's rows are used for."""

    training: dict[str, Annotated[Count, Field(ge=1)]]
    holdout: dict[str, Count]
    sampled: dict[str, Annotated[Count, Field(ge=1)]]
    labelled: dict[str, Labelled]
    uses: dict[str, Digest]


ORDER = Form(body=Order)
"""Form of the part ``order`` of the common view."""

ROWS = Form(
    blobs={
        "rows:*": BlobForm(dtype="int64", low=-1),
        "use:*": BlobForm(dtype="uint8", high=2),
        "sample:*": BlobForm(dtype="uint8", high=1),
        "salt:*": BlobForm(dtype="uint8", most=SALT_BYTES),
    }
)
"""Form of the request that brings the order to one institution."""


def uses_digest(salt: NDArray[np.uint8], use: NDArray[np.uint8], sample: NDArray[np.uint8] | None) -> str:
    """Digest of what each place of a list is used for, by which bank and holders see that they were told the same.

    salt: SALT_BYTES random bytes, for those who have the list alone: nobody else can try out uses.
    """
    parts: list[Any] = [salt, use, np.zeros(0, np.uint8) if sample is None else sample]
    fields = (np.ascontiguousarray(p, np.uint8).tobytes() for p in parts)
    return hashlib.sha256(encode_fields(_USES, *fields)).hexdigest()


def shares_of(study: Study) -> dict[str, float]:
    """Share of a list's rows in training and hold-out that a fair draw leaves at least, on average."""
    included = max(study.inclusion_probability, LEAST_INCLUDED) / len(study.trainers)
    if study.holdout.kind == "out_of_time":
        return {"training": included * DATED_SHARE}  # a date decides, and may leave few
    held = study.holdout.percent / 100
    return {"training": included * (1 - held), "holdout": included * held}


def wanted_rows(least: int, share: float, most: int) -> float:
    """Rows below which a draw of a share of ``most`` rows is not believed where a policy asks for ``least`` rows."""
    return LEAST_SHARE * _binomial_quantile(CHANCE, min(least, most), share)


def _binomial_quantile(chance: float, draws: int, share: float) -> float:
    """Least number of draws that come out with at least this chance at or below it (scipy.stats is 22 MB more).

    >>> _binomial_quantile(0.5, 10, 0.5), _binomial_quantile(1e-6, 100, 1.0), _binomial_quantile(1e-6, 0, 0.5)
    (5.0, 100.0, 0.0)
    """
    if draws <= 0 or share >= 1:
        return float(max(draws, 0))
    found = float(np.ceil(bdtrik(chance, draws, share)))
    below = max(found - 1, 0.0)
    return below if bdtr(below, draws, share) >= chance else found


def share_in_common(known: int, places: int, rows: int) -> float:
    """What a holder has in common with the trainers' lists, by the most that it could have, 0 to 1.

    known: places of the lists whose enterprise it knows. places: of all lists. rows: of its table. Where one of two
    sides covers a market, its share of that market comes out, however small the other side is.

    >>> share_in_common(30, 3000, 100_000), share_in_common(2_900, 3_000, 5_000_000)
    (0.01, 0.9666666666666667)
    """
    return min(1.0, known / max(1, min(places, rows)))


def overlap_wanted(study: Study) -> float:
    """Least share in common with which a study goes on: one of OVERLAP_STEPS."""
    return max(step for step in OVERLAP_STEPS if step <= study.alignment.least_overlap)


def enough_in_common(study: Study, known: int, places: int, rows: int) -> bool:
    """Whether a holder has as much in common with the trainers as the study asks for, and anything at all."""
    return known > 0 and share_in_common(known, places, rows) >= overlap_wanted(study)


def check_common(study: Study, holder: str, known: int, places: int, rows: int) -> None:
    """DataError where a holder has not (:func:`enough_in_common`).

    The text holds no count of enterprises.

    The hub and the holder look at it, each on its own; neither needs the other's word. Whoever else is in the study
    learns that it stopped, and with which code.
    """
    if enough_in_common(study, known, places, rows):
        return
    if not known:
        found = f"{holder} has no enterprise in common with any bank"
    else:
        found = (
            f"{holder} has hardly any enterprise in common with the banks: below {100 * overlap_wanted(study):g}% of "
            "the smaller side (alignment.least_overlap)"
        )
    raise DataError(
        f"{found}; compare the id schemes of their dictionaries, and how ids are spelt. Nothing was released"
    )
