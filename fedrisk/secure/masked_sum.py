"""Pairwise additive masks: the hub learns the sum of several arrays and nothing else about them.

Bonawitz et al. (2017), without their recovery from drop-outs: every two contributors share a secret and draw
the same mask from it; one adds the mask, the other subtracts it. The masks of all contributors sum to zero.
If the pair secrets connect all contributors, what the hub receives is uniform given the total. When a
contributor is lost, a new attempt with new labels is needed; masks of an attempt are never used for another
roster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fedrisk.errors import ProtocolError
from fedrisk.secure.keystream import Label, expand
from fedrisk.secure.ring import ring_dtype


def pair_mask(
    pair_secrets: Mapping[str, bytes], me: str, label: Label, shape: tuple[int, ...], dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """One contributor's mask: the streams of all its pairs, added or subtracted.

    A pair's stream is added by the contributor whose name sorts first, and subtracted by the other.

    The label's sender, counterparty and role are set here, so that both ends of a pair use the same label.
    Its other fields must be equal at all contributors and new for every array that is sent. Two products
    between the same two institutions in one release (say, in both directions) therefore need two matrix
    names.

    Args:
        pair_secrets: by partner, the secret shared with it (see ``identity.pair_secret``).
        me: name of the contributor.
        label: what the mask is for.
        shape: of the array to be masked.
        dtype: the ring.

    >>> names = dict(study="s", attempt="1", release="A", sender="", counterparty="")
    >>> label = Label(**names, bank_list="all", matrix="counts")
    >>> a = pair_mask({"b": bytes(32)}, "a", label, (2,), "uint32")
    >>> b = pair_mask({"a": bytes(32)}, "b", label, (2,), "uint32")
    >>> a + b
    array([0, 0], dtype=uint32)

    Raises:
        ProtocolError: there is no partner, so that the array would travel without a mask, or the contributor
            is listed as its own partner.
    """
    if not pair_secrets:
        raise ProtocolError(f"{me} has no partner to mask with; a masked sum needs at least two contributors")
    if me in pair_secrets:
        raise ProtocolError(f"{me} is among its own partners; pair secrets are shared with others only")
    total = np.zeros(shape, ring_dtype(dtype))
    for partner in sorted(pair_secrets):
        first, second = sorted((me, partner))
        pair = replace(label, sender=first, counterparty=second, role="Z")
        stream = expand(pair_secrets[partner], pair, shape, dtype)
        if me == first:
            total += stream
        else:
            total -= stream
    return total
