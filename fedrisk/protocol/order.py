"""The order of rows as it travels: the part that all members see alike, and the arrays that go to each."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedrisk.protocol.form import BlobForm, Body, Count, Digest, Form
from fedrisk.secure.keystream import encode_fields

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
