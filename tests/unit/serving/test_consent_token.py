"""Tokens as texts: one form, and short ways that lead where the long ones do."""

import base64

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedrisk.alignment.ids import normalise
from fedrisk.serving.consent_token import Unfit, segments, spelt

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SIGNATURE = base64.urlsafe_b64encode(bytes(range(64))).rstrip(b"=").decode()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40) | st.text(st.characters(max_codepoint=127), max_size=40))
@example(" 9135 0100m000100y43 ")
@example("a\tb\x1fc\x7f\0")
@example("\x1c\x85 ")
def test_an_id_has_the_spelling_of_a_table(id):
    assert spelt(id) == str(normalise([id], "opaque")[0][0])


def taken(head):
    try:
        return segments(f"{head}.e30.{SIGNATURE}")[0] == head
    except Unfit:
        return False


@settings(max_examples=200, deadline=None)
@given(st.text(LETTERS, min_size=1, max_size=13))
def test_base64url_has_one_form(text):
    """A segment is taken if and only if it is what its bytes are written as."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raw = b""
    assert taken(text) == (len(text) > 1 and base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text)


@pytest.mark.parametrize(("length", "fits"), [(0, False), (1, False), (2, True), (700, True), (704, False)])
def test_headers_have_a_length(length, fits):
    assert taken("A" * length) == fits


def test_a_signature_has_one_form():
    twin = SIGNATURE[:-1] + LETTERS[LETTERS.index(SIGNATURE[-1]) ^ 1]
    assert base64.urlsafe_b64decode(twin + "==") == base64.urlsafe_b64decode(SIGNATURE + "==")
    for wrong in (twin, SIGNATURE[:-1], SIGNATURE + "A", ""):
        with pytest.raises(Unfit):
            segments(f"e30.e30.{wrong}")
