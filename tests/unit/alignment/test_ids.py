"""Spelling and checking of enterprise ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.alignment.ids import USCC_ALPHABET, normalise, uscc_check_character
from fedrisk.errors import ConfigError, DataError

STANDARD = "91350100M000100Y43"  # the example of GB 32100-2015

first17 = st.text(alphabet=USCC_ALPHABET, min_size=17, max_size=17)


def test_alphabet_has_31_characters_without_i_o_s_v_z():
    assert len(set(USCC_ALPHABET)) == 31
    assert not set("IOSVZ") & set(USCC_ALPHABET)


def test_check_character_of_the_standards_example():
    assert uscc_check_character(STANDARD[:17]) == "3"


def test_check_character_by_hand():
    assert uscc_check_character("0" * 17) == "0"  # sum 0
    assert uscc_check_character("1" + "0" * 16) == "Y"  # 31 - 1 = 30, the last of the alphabet
    assert uscc_check_character("01" + "0" * 15) == "W"  # 31 - 3 = 28


@pytest.mark.parametrize("wrong", ["", "0" * 16, "0" * 18, "0" * 16 + "I", "0" * 16 + "a"])
def test_check_character_refuses_without_naming_the_text(wrong):
    with pytest.raises(DataError) as caught:
        uscc_check_character(wrong)
    assert not wrong or wrong not in str(caught.value)


@given(first17)
def test_every_code_with_its_check_character_is_accepted(first):
    spelt, refused = normalise([first + uscc_check_character(first)], "uscc")
    assert spelt[0] == first + uscc_check_character(first)
    assert not refused[0]


@given(first17, st.integers(0, 17), st.integers(1, 30))
def test_every_single_wrong_character_is_refused(first, place, shift):
    code = first + uscc_check_character(first)
    other = USCC_ALPHABET[(USCC_ALPHABET.index(code[place]) + shift) % 31]
    assert normalise([code[:place] + other + code[place + 1 :]], "uscc")[1][0]


@pytest.mark.parametrize(
    "written",
    [
        STANDARD,
        STANDARD.lower(),
        f"  {STANDARD[:6]} {STANDARD[6:]}\t\n",
        "９１３５０１００Ｍ０００１００Ｙ４３",
        f"\ufeff{STANDARD}\u200b",
        f"\u3000{STANDARD[:8]}\u00a0{STANDARD[8:]}",
    ],
)
def test_one_spelling(written):
    # the second id keeps the first in company: a slip of the separator would show
    spelt, refused = normalise([written, STANDARD], "uscc")
    assert spelt.tolist() == [STANDARD, STANDARD]
    assert not refused.any()


@pytest.mark.parametrize("scheme", ["uscc", "opaque"])
def test_empty_and_missing_are_refused(scheme):
    spelt, refused = normalise(["", " \t", None, float("nan"), np.float64("nan"), STANDARD], scheme)
    assert refused.tolist() == [True] * 5 + [False]
    assert spelt.tolist() == [""] * 5 + [STANDARD]
    assert spelt.dtype == object


def test_pandas_missing_values_are_refused():
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(["a", pandas.NA, None], dtype="string")
    spelt, refused = normalise(series.to_numpy(dtype=object), "opaque")
    assert spelt.tolist() == ["A", "", ""]
    assert refused.tolist() == [False, True, True]


@pytest.mark.parametrize(
    "wrong", [STANDARD[:17], STANDARD + "0", STANDARD[:17] + "4", "I" + STANDARD[1:], STANDARD[:17] + "é"]
)
def test_wrong_codes_are_refused_and_neighbours_kept(wrong):
    spelt, refused = normalise([STANDARD, wrong, STANDARD], "uscc")
    assert spelt.tolist() == [STANDARD, "", STANDARD]
    assert refused.tolist() == [False, True, False]


def test_an_id_with_the_separator_is_refused_alone():
    spelt, refused = normalise(["a", "b\0c", "\0", "d"], "opaque")
    assert spelt.tolist() == ["A", "", "", "D"]
    assert refused.tolist() == [False, True, True, False]


def test_no_ids():
    spelt, refused = normalise([], "uscc")
    assert spelt.shape == refused.shape == (0,)


def test_numbers_are_an_error_that_counts_them_without_naming_them():
    with pytest.raises(DataError, match="2 of 3 ids") as caught:
        normalise(["a", 987654, 123456], "opaque")
    assert "987654" not in str(caught.value)


def test_unknown_scheme():
    with pytest.raises(ConfigError, match="scheme"):
        normalise(["a"], "tax")


def test_numpy_text_arrays():
    assert normalise(np.array(["a", "bc"]), "opaque")[0].tolist() == ["A", "BC"]


@given(st.lists(st.text(max_size=8), max_size=6))
def test_spelling_many_at_once_is_spelling_each(texts):
    spelt, refused = normalise(texts, "opaque")
    alone = [normalise([t], "opaque") for t in texts]
    assert spelt.tolist() == [s[0] for s, _ in alone]
    assert refused.tolist() == [r[0] for _, r in alone]


@given(
    st.lists(st.text(alphabet="aZ09 \t\u00a8\u0390ß\ufb01\u0149ａ\u1fb3", max_size=8), min_size=1, max_size=4)
)
def test_spelling_again_changes_nothing(texts):
    once, _ = normalise(texts, "opaque")
    assert normalise(once, "opaque")[0].tolist() == once.tolist()
