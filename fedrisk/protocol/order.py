"""The order of rows as it travels: the part that all members see alike, and the arrays that go to each."""

import hashlib
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

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

SALT_BYTES = 32
_USES = b"fedrisk uses of a list v1"


class Order(Body):
    """Counts of rows by list, and a digest of what each list's rows are used for."""

    training: dict[str, Annotated[Count, Field(ge=1)]]
    holdout: dict[str, Count]
    sampled: dict[str, Annotated[Count, Field(ge=1)]]
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
    from scipy.stats import binom

    return LEAST_SHARE * float(binom.ppf(CHANCE, min(least, most), share))


def share_in_common(known: int, places: int, rows: int) -> float:
    """What a holder has in common with the trainers' lists, by the most that it could have, 0 to 1.

    known: places of the lists whose enterprise it knows. places: of all lists. rows: of its table. Where one of two
    sides covers a market, its share of that market comes out, however small the other side is.

    >>> share_in_common(30, 3000, 100_000), share_in_common(2_900, 3_000, 5_000_000)
    (0.01, 0.9666666666666667)
    """
    return min(1.0, known / max(1, min(places, rows)))


def check_common(study: Study, holder: str, known: int, places: int, rows: int) -> None:
    """DataError where that share is below ``alignment.least_overlap``. The text holds no count of enterprises.

    The hub and the holder look at it, each on its own; neither needs the other's word. Whoever else is in the study
    learns that it stopped, and with which code.
    """
    least = study.alignment.least_overlap
    if known and share_in_common(known, places, rows) >= least:
        return
    if not known:
        found = f"{holder} has no enterprise in common with any bank"
    else:
        found = (
            f"{holder} has hardly any enterprise in common with the banks: below {least:.0%} of the smaller side "
            "(alignment.least_overlap)"
        )
    raise DataError(
        f"{found}; compare the id schemes of their dictionaries, and how ids are spelt. Nothing was released"
    )
