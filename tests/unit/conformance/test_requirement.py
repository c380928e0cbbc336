"""The lists of requirements: whole, in both languages, and every test that they name is there."""

import re

import pytest

from fedrisk.conformance.node_ids import exists, source_tree
from fedrisk.conformance.requirement import Requirement, load_catalogue

CATALOGUE = load_catalogue()
REQUIREMENTS = [r for s in CATALOGUE.standards for r in s.requirement]


def test_both_standards_are_there_and_something_is_not_claimed():
    assert [s.name for s in CATALOGUE.standards] == ["JR/T 0196-2020", "NIST SP 800-226"]
    for standard in CATALOGUE.standards:
        claimed = [r.claimed for r in standard.requirement]
        assert any(claimed) and not all(claimed)


def test_every_test_that_is_named_is_there():
    root = source_tree()
    assert [t for t in CATALOGUE.tests if not exists(root, t)] == []
    assert not exists(root, "tests/unit/conformance/test_requirement.py::test_that_there_is_not")
    assert not exists(root, "tests/unit/no_such_file.py::test_x")


def test_clauses_that_the_issue_of_evidence_is_about_are_there():
    clauses = {r.clause for r in REQUIREMENTS if r.claimed}
    assert {f"7.5 {letter})" for letter in "abcdef"} | {f"7.6 {letter})" for letter in "abc"} <= clauses
    # No number was held against an official text.
    assert {r.clause_checked for r in REQUIREMENTS} == {"copy", "no"}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.id)
def test_words_of_a_requirement(requirement):
    for text in (requirement.text, requirement.reason):
        if text is not None:
            assert re.search("[\u4e00-\u9fff]", text.zh) and not re.search("[\u4e00-\u9fff]", text.en)
            assert text.en[0].isupper() and text.en.endswith(".") and text.zh.endswith("。")


def test_what_is_neither_tested_nor_explained_is_refused():
    with pytest.raises(ValueError, match="neither"):
        Requirement.model_validate({"id": "x", "text": {"en": "A.", "zh": "甲。"}})
    with pytest.raises(ValueError, match="pattern"):
        Requirement.model_validate({"id": "x", "text": {"en": "A.", "zh": "甲。"}, "tests": ["make test"]})
