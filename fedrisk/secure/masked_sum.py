"""Pairwise additive masks: the hub learns the sum of several arrays and nothing else about them.

Bonawitz et al. (2017), without their recovery from drop-outs: every two contributors share a secret, draw
the same mask from it, and one adds what the other subtracts. The masks of all contributors sum to zero. If
the contributors' secrets connect them all, what the hub receives is uniform given the total. A contributor
that is lost means a new attempt with new labels; masks of an attempt are never used for another roster.
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
    """My mask: over all partners, the pair's stream, added where my name sorts first and else subtracted.

    ``pair_secrets``: partner name to the secret shared with it (see ``identity.pair_secret``). The label's
    sender, counterparty and role are set here, so that both ends name the pair alike; its other fields must
    be equal at all contributors and new for every array that is sent. Two products between the same two
    institutions in one release (say, in both directions) therefore need two matrix names.

    >>> names = dict(study="s", attempt="1", release="A", sender="", counterparty="")
    >>> label = Label(**names, bank_list="all", matrix="counts")
    >>> a = pair_mask({"b": bytes(32)}, "a", label, (2,), "uint32")
    >>> b = pair_mask({"a": bytes(32)}, "b", label, (2,), "uint32")
    >>> a + b
    array([0, 0], dtype=uint32)

    Raises ProtocolError without partners (the array would travel bare) or with oneself as partner.
    """
    if not pair_secrets:
        raise ProtocolError(f"{me} has no partner to mask with; a masked sum needs two contributors or more")
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
