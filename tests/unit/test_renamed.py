"""Old words of study and institution files: read once more, with a note that names the new word."""

import warnings

import pytest

from fedrisk.errors import ConfigError
from fedrisk.institution import load_institution
from fedrisk.recipes import study_from
from fedrisk.renamed import (
    INSTITUTION_KEYS,
    INSTITUTION_VALUES,
    STUDY_KEYS,
    STUDY_VALUES,
    UNTIL,
    OldWord,
    renamed,
)

BANKS = [{"name": name, "role": "bank"} for name in ("a", "b", "c")]
PLAIN = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1.0}, "institutions": BANKS}


def quiet(content):
    """The study of new words; any note is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return study_from(content)


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        (
            {"alignment": {"keep": 0.5}},
            {"alignment": {"inclusion_probability": 0.5}},
            "alignment.keep is called alignment.inclusion_probability now",
        ),
        (
            {"privacy": {"epsilon": 1.0, "tolerated": 2}},
            {"privacy": {"epsilon": 1.0, "colluders": 2}},
            "privacy.tolerated is called privacy.colluders now",
        ),
        (
            {"recipe": "network", "training": {"fewest": 3}},
            {"recipe": "network", "training": {"threshold": 3}},
            "training.fewest is called training.threshold now",
        ),
        (
            {"gram": {"rows": 5000}},
            {"scorecard": {"gram_rows": 5000}},
            "gram.rows is called scorecard.gram_rows now",
        ),
        ({"recipe": "neural"}, {"recipe": "network"}, 'recipe = "neural" is called "network" now'),
        (
            {"recipe": "network", "training": {"mode": "own_noise"}},
            {"recipe": "network", "training": {"mode": "silo"}},
            'training.mode = "own_noise" is called "silo" now',
        ),
        (
            {"recipe": "network", "training": {"mode": "shared_noise"}},
            {"recipe": "network", "training": {"mode": "distributed"}},
            'training.mode = "shared_noise" is called "distributed" now',
        ),
    ],
)
def test_an_old_word_makes_the_same_study_with_a_note(old, new, note):
    with pytest.warns(OldWord) as caught:
        study = study_from({**PLAIN, **old}, where="study x.toml")
    assert study == quiet({**PLAIN, **new})
    assert study.digest() == quiet({**PLAIN, **new}).digest()
    (told,) = caught
    assert str(told.message) == f"study x.toml: {note}; the old word is read until version {UNTIL}"


def test_every_old_word_is_tried_above():
    """A word more in the tables needs a case more."""
    assert len(STUDY_KEYS) + sum(len(words) for words in STUDY_VALUES.values()) == 7


@pytest.mark.parametrize("old", list(STUDY_KEYS))
def test_a_thing_is_not_stated_twice(old):
    new = STUDY_KEYS[old]
    content = {}
    for path in (old, new):
        section, name = path.split(".")
        content.setdefault(section, {})[name] = 1
    with pytest.raises(ConfigError, match=f"here states {old} and {new}, which are the same; remove {old}"):
        renamed(content, STUDY_KEYS, STUDY_VALUES, where="here")


def test_what_was_given_is_left_as_it_is():
    content = {"alignment": {"keep": 0.5}, "recipe": "neural"}
    with pytest.warns(OldWord):
        out = renamed(content, STUDY_KEYS, STUDY_VALUES, where="here")
    assert content == {"alignment": {"keep": 0.5}, "recipe": "neural"}
    assert out == {"alignment": {"inclusion_probability": 0.5}, "recipe": "network"}


def test_sections_keep_what_is_not_renamed():
    with pytest.warns(OldWord):
        out = renamed({"gram": {"rows": 1, "more": 2}}, STUDY_KEYS, STUDY_VALUES, where="here")
    assert out == {"gram": {"more": 2}, "scorecard": {"gram_rows": 1}}


@pytest.mark.parametrize(
    "content", [{}, {"alignment": 3}, {"recipe": 3}, {"training": None}, {"training": {"mode": 1}}]
)
def test_what_is_malformed_is_left_to_the_checks(content):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert renamed(content, STUDY_KEYS, STUDY_VALUES, where="here") == content


@pytest.mark.parametrize("content", [3, None, ["a"], "text", {"gram": {"rows": 1}, "scorecard": "text"}])
def test_what_is_no_table_of_sections_is_an_error_of_configuration(content):
    with pytest.raises(ConfigError, match="section"):
        renamed(content, STUDY_KEYS, STUDY_VALUES, where="here")


def test_old_words_of_an_institutions_file(tmp_path):
    assert set(INSTITUTION_KEYS) == {"policy.least_tolerated"}
    assert set(INSTITUTION_VALUES) == {"policy.recipes"}
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    head = 'name = "reg"\nkind = "authority"\n[policy]\n'
    old.write_text(head + 'least_tolerated = 2\nrecipes = ["scorecard", "neural"]\n')
    new.write_text(head + 'least_colluders = 2\nrecipes = ["scorecard", "network"]\n')
    with pytest.warns(OldWord) as caught:
        read = load_institution(old)
    assert len(caught) == 2
    assert read.policy == load_institution(new).policy
