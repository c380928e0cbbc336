"""What a message may hold: every field, array and envelope that breaks its rule is refused, and no value is told."""

from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from fedrisk.errors import ProtocolError, VersionError
from fedrisk.protocol.form import (
    SEALED,
    AttemptId,
    BlobForm,
    Body,
    Confirmed,
    Count,
    Digest,
    Form,
    Hex,
    Name,
    OfAttempt,
    Seed,
)
from fedrisk.protocol.payload import Payload

ATTEMPT = "0123456789abcdef"
CANARY = "CANARY7742"


class Example(OfAttempt):
    number: Annotated[int, Field(ge=0, le=9)] = 1
    share: float = 0.5
    name: Name = "a"
    names: list[Name] = Field(default_factory=list)
    secret: Hex = "00"
    rows: Count = 0
    digest: Digest | None = None
    seed: Seed | None = None


FORM = Form(
    body=Example,
    blobs={"rows:*": BlobForm(dtype="int64", low=-1), "key": BlobForm(dtype="uint8", most=4), "*": SEALED},
)


def check(body=None, blobs=None, form=FORM):
    form.check(Payload({"attempt": ATTEMPT, **(body or {})}, blobs or {}), "request x")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"number": 9, "share": 1, "names": ["a", "b"], "secret": "0aff", "rows": 1 << 28},
        {"digest": "f" * 64, "seed": -(1 << 63)},
        {"digest": None, "seed": None},
    ],
)
def test_bodies_of_the_form_pass(body):
    check(body)


@pytest.mark.parametrize(
    "body",
    [
        {"number": 10},
        {"number": -1},
        {"number": 1.0},
        {"number": "1"},
        {"number": True},
        {"number": None},
        {"share": float("nan")},
        {"share": float("inf")},
        {"share": "0.5"},
        {"name": ""},
        {"name": "x" * 101},
        {"name": 3},
        {"names": "ab"},
        {"names": [1]},
        {"names": {"a": 1}},
        {"secret": ""},
        {"secret": "0"},
        {"secret": "0G"},
        {"secret": "AA"},
        {"secret": "00\n"},
        {"rows": (1 << 28) + 1},
        {"digest": "f" * 63},
        {"digest": "F" * 64},
        {"digest": "f" * 64 + "\n"},
        {"seed": 1 << 63},
        {"attempt": "short"},
        {"attempt": "../../../etc"},
        {"attempt": ATTEMPT + "\n"},
        {"attempt": 12345678},
    ],
)
def test_bodies_of_another_form_are_refused(body):
    with pytest.raises(
        ProtocolError, match=r"^request x: field \w+(\.\d+)? is missing, of another type or out of range"
    ) as refused:
        check(body)
    assert refused.type is ProtocolError


def test_a_field_that_is_not_known_is_of_another_version():
    with pytest.raises(
        VersionError, match="request x: .* does not know field unknown; .* Upgrade fedrisk here"
    ):
        check({"unknown": 1})
    # Where more is wrong, that is said.
    with pytest.raises(ProtocolError, match="field attempt is missing") as refused:
        check({"unknown": 1, "attempt": 3})
    assert refused.type is ProtocolError


def test_a_missing_field_is_refused():
    with pytest.raises(ProtocolError, match="request x: field attempt"):
        FORM.check(Payload({}), "request x")


def test_no_value_stands_in_the_refusal():
    for body in ({"number": CANARY}, {"names": [CANARY, 1]}, {"attempt": f"{CANARY}/"}):
        with pytest.raises(ProtocolError) as caught:
            check(body)
        assert CANARY not in str(caught.value)
        assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize(
    "blobs",
    [
        {"rows:alfa": np.array([-1, 0, 5])},
        {"rows:alfa": np.zeros(0, np.int64)},
        {"key": np.arange(4, dtype=np.uint8)},
        {"tax": b"sealed", "power": b""},
    ],
)
def test_blobs_of_the_form_pass(blobs):
    check(blobs=blobs)


@pytest.mark.parametrize(
    "blobs",
    [
        {"rows:alfa": np.array([-2, 0])},
        {"rows:alfa": np.array([0], np.int32)},
        {"rows:alfa": np.zeros((2, 2), np.int64)},
        {"rows:alfa": np.array(0)},
        {"rows:alfa": b"raw"},
        {"key": np.arange(5, dtype=np.uint8)},
        {"key": b"raw"},
        {"tax": np.zeros(3)},
    ],
)
def test_blobs_of_another_form_are_refused(blobs):
    with pytest.raises(ProtocolError, match="request x: an array or envelope is of another type"):
        check(blobs=blobs)


def test_a_blob_without_a_rule_is_refused():
    only = Form(body=Example, blobs={"rows:*": BlobForm(dtype="int64")})
    for name in ("other", "rows", "xrows:alfa"):
        with pytest.raises(VersionError, match="does not know an array"):
            check(blobs={name: np.zeros(1, np.int64)}, form=only)
    with pytest.raises(VersionError, match="does not know an array"):
        check(blobs={"x": b""}, form=Form())


def test_an_own_rule_goes_before_a_pattern():
    """``key`` is not any text, though ``*`` stands before it too."""
    form = Form(body=Example, blobs={"*": SEALED, "key": BlobForm(dtype="uint8")})
    check(blobs={"key": np.zeros(3, np.uint8)}, form=form)
    with pytest.raises(ProtocolError):
        check(blobs={"key": b"raw"}, form=form)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_not_finite_are_refused(bad, dtype):
    rule = BlobForm(dtype=("float32", "float64"), ndim=(1, 2), low=-1e6, high=1e6)
    good = np.zeros((3, 2), dtype)
    assert rule.fits(good)
    good[2, 1] = bad
    assert not rule.fits(good)
    assert not BlobForm(dtype=dtype, ndim=(2,)).fits(good)


@given(st.lists(st.integers(-5, 5)), st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 8))
def test_range_and_size_by_hand(numbers, low, high, most):
    rule = BlobForm(dtype="int64", low=low, high=high, most=most)
    assert rule.fits(np.array(numbers, np.int64)) == (
        len(numbers) <= most and all(low <= n <= high for n in numbers)
    )


def test_the_largest_envelope(monkeypatch):
    from fedrisk.protocol import form

    monkeypatch.setattr(form, "MOST_BYTES", 3)
    assert SEALED.fits(b"abc")
    assert not SEALED.fits(b"abcd")
    assert not SEALED.fits("abc")


def test_a_body_cannot_be_changed():
    said = Confirmed(number=1, code="0" * 64)
    with pytest.raises(ValueError, match="frozen"):
        said.number = 2
    assert issubclass(Confirmed, Body)


@pytest.mark.parametrize(
    "code",
    [
        {"number": 0, "code": "0" * 64},
        {"number": 65, "code": "0" * 64},
        {"number": 1, "code": "0" * 63},
        {"number": 1, "code": "0" * 64, "more": 1},
        {"number": 1},
        [1, "0" * 64],
        None,
    ],
)
def test_a_confirmation_has_a_number_and_a_code(code):
    with pytest.raises(ValueError):
        Confirmed.model_validate(code)


def test_an_attempt_id_is_no_path():
    from pydantic import TypeAdapter

    adapter = TypeAdapter(AttemptId)
    for text in ("a/b/c/d/e", "a.b.c.d.e", "..........", "", "a" * 65):
        with pytest.raises(ValueError):
            adapter.validate_python(text)
    assert adapter.validate_python("a" * 64)
