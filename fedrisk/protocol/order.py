"""The order of rows as it travels: the part that all members see alike, and the arrays that go to each."""

import hashlib
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedrisk.protocol.form import BlobForm, Body, Count, Digest, Form
from fedrisk.secure.keystream import encode_fields

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
