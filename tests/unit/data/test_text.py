"""Text compares as exact text; numbers as decimals, where somebody said that they are numbers."""

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.text import Codes, Notation, number_of, text_of, trim
from fedrisk.errors import DataError


@pytest.mark.parametrize(
    ("listed", "value", "found"),
    [
        (["1000"], "1E3", False),
        ([1000], "1E3", True),
        (["101"], "0101", False),
        (["0101"], "0101.0", True),
        (["103100000026000123"], "103100000026000124", False),
        ([103100000026000123], "103100000026000124", False),
        ([103100000026000123], "103100000026000123.0", True),
        (["1"], "1.0", True),
        (["1.0"], "1", False),
        (["1.50"], "1.5", False),
        ([1.5], "1.50", True),
        (["NaN"], "nan", False),
        (["TRUE"], "true", True),
        (["True"], "1", True),
        ([1], "TRUE", True),
        ([True], "1", True),
        (["0"], "false", True),
        (["1"], "false", False),
        (["1"], "１", False),
        ([1], "１", True),
        (["1"], "\ufeff1\u00a0", True),
        (["\u00a01"], "1", True),
        (["a"], "A", False),
        (["é"], "e\u0301", False),
        ([1], "1_0", False),
        ([255], "0xff", False),
    ],
)
def test_exact_text_first(listed, value, found):
    assert (Codes(listed).place(value) is not None) == found


def test_an_exact_text_wins_over_another_spelling():
    codes = Codes(["1", "1.0", "TRUE", "true", 1])
    assert [codes.place(t) for t in ("1", "1.0", "1.00", "TRUE", "true", "True")] == [0, 1, 0, 2, 3, 3]
    assert Codes(["1000"], numbers=True).place("1E3") == 0
    assert Codes([1000], exponents=False).place("1E3") is None
    assert Codes([-9.5], notation=Notation(decimal=",")).place("-9,50") == 0


@given(st.integers(10**15, 10**18), st.integers(1, 9))
def test_long_codes_are_never_equal_by_rounding(code, more):
    for listed in ([code], [str(code)], [code + 0]):
        assert Codes(listed, numbers=True).place(str(code)) == 0
        assert Codes(listed, numbers=True).place(str(code + more)) is None


EUROPEAN = Notation(decimal=",", thousands=".")
ENGLISH = Notation(thousands=",")


@pytest.mark.parametrize(
    ("text", "notation", "number"),
    [
        ("1234.5", Notation(), "1234.5"),
        (" +1e-3 ", Notation(), "0.001"),
        ("１２３．５", Notation(), "123.5"),
        ("\u22129", Notation(), None),
        ("1,5", Notation(), None),
        ("1 5", Notation(), None),
        ("12%", Notation(), None),
        ("0x10", Notation(), None),
        ("1e99999999999999999999", Notation(), None),
        ("²", Notation(), None),
        ("1.234,56", EUROPEAN, "1234.56"),
        ("1234,56", EUROPEAN, "1234.56"),
        ("-1.234.567", EUROPEAN, "-1234567"),
        ("1.23", EUROPEAN, None),
        ("1.2345", EUROPEAN, None),
        ("12.34,5", EUROPEAN, None),
        ("1,234.50", ENGLISH, "1234.50"),
        ("1,23,456.5", ENGLISH, "123456.5"),
        ("1,2345", ENGLISH, None),
        ("1,5", ENGLISH, None),
        (",123", ENGLISH, None),
        ("1,,234", ENGLISH, None),
        ("1.5", Notation(decimal=","), None),
        ("1 234\u00a0567", Notation(thousands=" "), "1234567"),
        ("1’234", Notation(thousands="'"), "1234"),
        ("12.5%", Notation(percent="share"), "0.125"),
        ("12.5 ％", Notation(percent=True), "0.125"),
        ("12.5%", Notation(percent="points"), "12.5"),
        ("0.125", Notation(percent="share"), "0.125"),
        ("12,5%", Notation(decimal=",", percent="share"), "0.125"),
        ("￥1,200", Notation(thousands=",", currency="¥"), "1200"),
        ("-¥1200", Notation(currency="￥"), "-1200"),
        ("¥-1200", Notation(currency="¥"), "-1200"),
        ("-¥-1200", Notation(currency="¥"), None),
        ("1200 元", Notation(currency="元"), "1200"),
        ("(1200)", Notation(negative="parentheses"), "-1200"),
        ("(1200", Notation(negative="parentheses"), None),
        ("-(1200)", Notation(negative="parentheses"), None),
        ("1200-", Notation(negative="trailing"), "-1200"),
        ("-1200-", Notation(negative="trailing"), None),
        ("-1200", Notation(negative="trailing"), "-1200"),
        ("", Notation(decimal=","), None),
        ("-", Notation(negative="trailing"), None),
    ],
)
def test_numbers_by_their_notation(text, notation, number):
    assert number_of(text, notation) == (None if number is None else Decimal(number))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_comes_back_from_its_text(value):
    assert float(text_of(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (2.0**53, "9.007199254740992e+15"),
        (np.float32(0.1), "0.1"),
        (np.float32(2**24), "1.6777216e+07"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("NaN"), None),
        (dt.datetime(2024, 9, 1, tzinfo=dt.timezone(dt.timedelta(hours=8))), "2024-09-01"),
        (dt.datetime(2024, 9, 1, 10, 30), "2024-09-01 10:30:00"),
        (dt.time(8), "08:00:00"),
        (memoryview("贸易".encode()), "贸易"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (10**30, str(10**30)),
    ],
)
def test_python_values_as_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"\xff", dt.timedelta(1)])
def test_what_has_no_text_is_refused_in_words(value):
    with pytest.raises(DataError, match="write them as text in the query or export"):
        text_of(value)


def test_space_and_marks_around_a_value_are_left_out():
    assert trim("\ufeff\u3000 a b\u200b\u00a0") == "a b"
