"""The order of rows as it travels: its two forms, and the digest by which bank and holders compare uses."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest

from fedrisk.errors import DataError, ProtocolError
from fedrisk.protocol.order import (
    ORDER,
    OVERLAP_STEPS,
    ROWS,
    SALT_BYTES,
    check_common,
    labelled_among,
    uses_digest,
)
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import study_from

TOLD = {
    "training": {"alfa": 3, "beta": 1},
    "holdout": {"alfa": 0, "beta": 2},
    "sampled": {"alfa": 2, "beta": 1},
    "labelled": {
        "alfa": {"training": [4, 4], "holdout": [4, 4]},
        "beta": {"training": [2, 3], "holdout": [0, 3]},
    },
    "uses": {"alfa": "0" * 64, "beta": "a" * 64},
}
SENT = {
    "rows:alfa": np.array([-1, 3, 0]),
    "use:alfa": np.array([0, 1, 2], np.uint8),
    "sample:alfa": np.array([1, 0, 0], np.uint8),
    "salt:alfa": np.zeros(SALT_BYTES, np.uint8),
}


def test_the_part_and_the_arrays_have_their_forms():
    ORDER.check(Payload(TOLD), "part order")
    ROWS.check(Payload({"attempt": "0123456789abcdef"}, SENT), "request edges")


@pytest.mark.parametrize(
    "change",
    [
        {"training": {"alfa": 0, "beta": 1}},  # a list without training rows
        {"sampled": {"alfa": 0, "beta": 1}},
        {"holdout": {"alfa": -1, "beta": 1}},
        {"training": {"alfa": 3.0, "beta": 1}},
        {"uses": {"alfa": "0" * 63}},
        {"training": [3, 1]},
        {"labelled": {"alfa": {"training": [4], "holdout": [4, 4]}}},
        {"labelled": {"alfa": {"training": [4, -1], "holdout": [4, 4]}}},
        {"labelled": {"alfa": {"training": [4, 4]}}},
        {"features": []},
    ],
)
def test_counts_that_cannot_be_are_refused(change):
    with pytest.raises(ProtocolError):
        ORDER.check(Payload({**TOLD, **change}), "part order")


def test_the_part_brings_no_arrays():
    with pytest.raises(ProtocolError):
        ORDER.check(Payload(TOLD, {"rows:alfa": SENT["rows:alfa"]}), "part order")


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("rows:alfa", np.array([-2])),
        ("rows:alfa", np.array([0.0])),
        ("use:alfa", np.array([3], np.uint8)),
        ("use:alfa", np.array([0])),
        ("sample:alfa", np.array([2], np.uint8)),
        ("salt:alfa", np.zeros(SALT_BYTES + 1, np.uint8)),
        ("salt:alfa", b"0" * SALT_BYTES),
        ("more:alfa", np.array([0], np.uint8)),
    ],
)
def test_arrays_of_another_kind_are_refused(name, array):
    with pytest.raises(ProtocolError):
        ROWS.check(Payload({"attempt": "0123456789abcdef"}, {**SENT, name: array}), "request edges")


def test_the_digest_by_hand():
    """SHA-256 over the tag, salt, uses and sample, each after its length in four bytes."""
    salt, use = np.arange(SALT_BYTES, dtype=np.uint8), np.array([0, 2], np.uint8)
    fields = [b"fedrisk uses of a list v1", salt.tobytes(), use.tobytes(), b""]
    text = b"".join(len(f).to_bytes(4, "big") + f for f in fields)
    assert uses_digest(salt, use, None) == hashlib.sha256(text).hexdigest()


def test_the_digest_depends_on_salt_uses_and_sample():
    salt, use = np.zeros(SALT_BYTES, np.uint8), np.array([0, 1, 2, 0], np.uint8)
    digests = {
        uses_digest(salt, use, None),
        uses_digest(salt + 1, use, None),
        uses_digest(salt, use[::-1], None),
        uses_digest(salt, use[:3], None),
        uses_digest(salt, use, np.array([1, 0, 0, 0], np.uint8)),
        uses_digest(salt, use, np.array([0, 0, 0, 1], np.uint8)),
        # What is moved from one array to the next is another digest.
        uses_digest(salt, use[:2], use[2:]),
    }
    assert len(digests) == 7


def test_rows_with_a_label_are_reckoned_from_public_numbers():
    """In proportion, never none, never more than there are; an empty side is as it is."""
    given = {
        "alfa": {"training": [1, 3], "holdout": [0, 3]},
        "beta": {"training": [9, 3], "holdout": [0, 0]},
    }
    rows = {"alfa": 100, "beta": 50}
    assert labelled_among(given, rows, "training") == {"alfa": 34, "beta": 50}
    assert labelled_among(given, rows, "holdout") == {"alfa": 1, "beta": 50}


def stops(study, known):
    try:
        check_common(study, "h", known, 100_000, 100_000)
    except DataError:
        return True
    return False


def test_bounds_on_the_overlap_cannot_be_used_to_search_for_it():
    """Studies that ask for any share in common tell no more than the step, at most a tenth, in which it lies."""
    members = [{"name": "b", "role": "bank"}, {"name": "h", "role": "holder"}]
    content = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1}, "institutions": members}
    asked = [
        study_from({**content, "alignment": {"authority": "h", "least_overlap": float(least)}})
        for least in [*np.linspace(0, 1, 301), *OVERLAP_STEPS]
    ]
    for low, high in pairwise(OVERLAP_STEPS):
        inside = {
            tuple(stops(study, known) for study in asked)
            for known in (
                max(1, round(low * 100_000)),
                round((low + high) * 50_000),
                round(high * 100_000) - 1,
            )
        }
        assert len(inside) == 1 and high - low <= 0.1 + 1e-9
    assert stops(asked[30], 9_999) and not stops(asked[30], 10_000)  # a tenth
