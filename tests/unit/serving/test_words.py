"""Every code has a sentence, which says what to do and repeats nothing."""

import re
from importlib.resources import files

import pytest

from fedrisk.serving import codes
from fedrisk.serving.http import STATUS
from fedrisk.serving.words import AGENT_WORDS, INDEX_WORDS, WORDS, chance, of_code, of_members

ALL = (*codes.WHOLE, *codes.ROWS, *codes.OWN, *codes.SERVICE)


def test_every_code_has_words_and_every_word_a_code() -> None:
    assert set(WORDS) == set(ALL)
    assert len(set(ALL)) == len(ALL)


def test_every_code_of_a_whole_request_has_a_status() -> None:
    assert set(STATUS) == {*codes.SERVICE, "internal"}


def test_codes_that_pass_are_codes() -> None:
    assert set(codes.PASSING) <= {*codes.WHOLE, *codes.OWN}


@pytest.mark.parametrize("code", ALL)
def test_a_sentence_says_what_and_what_to_do(code: str) -> None:
    words = WORDS[code]
    assert len(words.split(". ")) >= 2, "what is wrong, then the remedy"
    assert not words.endswith(".") and "{" not in words
    assert len(words) <= 140
    assert not re.search(r"\b(his|her|please|sorry)\b", words.lower())


@pytest.mark.parametrize("code", [*codes.WHOLE, *codes.ROWS])
def test_a_members_sentence_goes_on_after_its_name(code: str) -> None:
    assert WORDS[code][0].islower()
    assert of_members({"tax": code}).startswith("tax gives nothing: ")
    assert of_members({"tax": code}).endswith(".")


@pytest.mark.parametrize("code", [*codes.OWN, *codes.SERVICE])
def test_a_sentence_of_the_own_node_stands_alone(code: str) -> None:
    assert of_code(code)[0].isupper()
    assert of_code(code).endswith(".")


def test_members_with_different_codes_have_a_sentence_each() -> None:
    words = of_members({"tax": "away", "power": "consent_used", "court": "away"})
    assert words.startswith("court and tax give nothing: it is not connected") or "court and tax" in words
    assert "power gives nothing: the consent was used" in words


def test_a_code_of_another_version_is_shown() -> None:
    assert "something_new" in of_code("something_new")
    assert "something_new" in of_members({"tax": "something_new"})


def test_no_chance_is_said_to_be_none_or_all() -> None:
    assert chance(0.0) == "fewer than 1 in 1,000"
    assert chance(1.0) == "more than 99 in 100"
    assert chance(0.0099) == "about 10 in 1,000"
    assert chance(0.01) == "about 1 in 100"


def test_the_page_keeps_its_request_id_while_a_member_has_failed() -> None:
    page = (files("fedrisk.serving") / "page" / "page.js").read_text(encoding="utf-8")
    found = re.findall(r"const (\w+) = new Set\(\[(?:\.\.\.PASSING, )?(.*?)\]\)", page)
    sets = {name: set(re.findall(r'"(\w+)"', words)) for name, words in found}
    assert sets["PASSING"] == set(codes.PASSING)
    assert sets["PASSING"] | sets["FAILED"] == {*codes.PASSING, *codes.WHOLE}


@pytest.mark.parametrize("words", [INDEX_WORDS, AGENT_WORDS])
def test_words_for_an_index_are_of_codes_and_go_on_after_a_name(words) -> None:
    assert set(words) <= {*codes.WHOLE, *codes.ROWS}
    assert all(
        text[0].islower() and len(text.split(". ")) == 2 and len(text) <= 140 for text in words.values()
    )
    assert "fewer months" in of_members({"tax": "enterprise_quota"}, words)
    assert of_members({"tax": "late"}, words) == of_members({"tax": "late"})
