"""Broken rules in own words: place as in the file, "did you mean" for keys and words, and never pydantic's text."""

import re

import pytest

from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.institution import Institution
from fedrisk.recipes import study_from

STUDY = {
    "name": "s",
    "purpose": "credit_scoring",
    "privacy": {"epsilon": 1.0},
    "institutions": [{"name": "b1", "role": "bank"}],
}
BANK = {
    "name": "b1",
    "kind": "bank",
    "table": {"source": "x.csv"},
    "policy": {"max_epsilon": 3.0},
    "dictionary": {
        "id": "id",
        "id_scheme": "opaque",
        "columns": [{"name": "debt", "kind": "number", "meaning": "m", "low": 0, "high": 9}],
        "label": {"column": "bad", "positive": [1], "negative": [0], "horizon": "h", "selection": "s"},
    },
}
PYDANTIC = re.compile(
    r"[Ii]nput should|[Ff]ield required|validation error|Extra inputs|pydantic|unable to (parse|interpret)"
)


def edited(content, path, value):
    """A copy with the value at a dotted path replaced, added, or (None) removed."""
    *sections, key = path.split(".")
    copy = dict(content)
    at = copy
    for part in sections:
        step = int(part) if part.isdigit() else part
        at[step] = list(at[step]) if isinstance(at[step], list) else dict(at[step])
        at = at[step]
    if value is None:
        del at[key]
    else:
        at[int(key) if key.isdigit() else key] = value
    return copy


def said(call):
    with pytest.raises(ConfigError) as caught:
        call()
    assert not PYDANTIC.search(str(caught.value)), str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("nam", "x", 'nam: is not a known key; did you mean "name"?'),
        ("privcy", {"epsilon": 3}, '[privcy]: is not a known key; did you mean "privacy"?'),
        ("scorcard", {"gram_rows": 5000}, '[scorcard]: is not a known key; did you mean "scorecard"?'),
        ("epsilon", 3, "epsilon: is not a known key here; it stands in [privacy]"),
        ("scorecard", {"gram_row": 5000}, 'gram_row: is not a known key; did you mean "gram_rows"?'),
        ("recipe", "scorecrd", 'did you mean recipe = "scorecard"?'),
        ("holdout", {"kind": "psuedonym"}, 'one of pseudonym, out_of_time; did you mean "pseudonym"?'),
        ("holdout", {"percent": 3.5}, "[holdout] percent: is 3.5, and must be a whole number"),
        (
            "institutions",
            [{"name": "b1", "role": "bnk"}],
            '[[institutions]] "b1": role: is "bnk", and must be one of',
        ),
        ("institutions", [{"role": "bank"}], "[[institutions]] number 1: name: is missing; add it"),
        ("institutions", {"name": "b1"}, "write the heading in double brackets"),
        ("institutions", "b1", "must be a list"),
        ("alignment", {"epoch": 2026}, 'must be a text in quotes, epoch = "..."'),
        ("privacy", 3, "must be a section or an inline table"),
        ("training", {"steps": "ten"}, '[training] steps: is "ten", and must be a whole number'),
    ],
)
def test_a_study(path, value, says):
    assert says in said(lambda: study_from(edited(STUDY, path, value), where="study x"))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("kind", "bnak", 'did you mean "bank"?'),
        ("table.sorce", "x", '[table] sorce: is not a known key; did you mean "source"?'),
        ("table.source", 5, "[table] source: must be a text in quotes"),
        ("table.only", "north", '[table] only: is "north", and must be a section'),
        ("policy.roles", ["bnk"], "[policy] roles, entry 1:"),
        ("policy.purposes", "credit", '[policy] purposes: is "credit", and must be a list'),
        (
            "dictionary.columns.0.lwo",
            1,
            '[[dictionary.columns]] "debt": lwo: is not a known key; did you mean "low"?',
        ),
        (
            "dictionary.columns.0.low",
            "zero",
            '[[dictionary.columns]] "debt": low: is "zero", and must be a number',
        ),
        ("dictionary.columns.0.kind", "numbr", 'did you mean "number"?'),
        ("dictionary.columns.0.meaning", None, '[[dictionary.columns]] "debt": meaning: is missing; add it'),
        ("dictionary.columns.0.bins", 1, "must be at least 2"),
        ("dictionary.label.horizon", None, "[dictionary.label] horizon: is missing; add it"),
        ("dictionary.idd", "x", '[dictionary] idd: is not a known key; did you mean "id"?'),
        ("polcy", {}, '[polcy]: is not a known key; did you mean "policy"?'),
    ],
)
def test_an_institution(path, value, says):
    assert says in said(lambda: checked(Institution, edited(BANK, path, value), where="file"))


def refusal(take, content):
    """The error's text, or nothing where the content is taken."""
    try:
        take(content)
    except ConfigError as error:
        return str(error)
    return ""


JUNK = [
    3,
    -1,
    2.5,
    True,
    "x",
    "",
    [],
    [[]],
    [1],
    {},
    {"a": 1},
    float("nan"),
    float("inf"),
    "2025-01-01",
    [{"a": 1}],
]


def places(content, path=""):
    """Dotted paths of everything in a file."""
    items = enumerate(content) if isinstance(content, list) else content.items()
    for key, value in items:
        here = f"{path}.{key}" if path else str(key)
        yield here
        if isinstance(value, dict | list):
            yield from places(value, here)


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_whatever_stands_anywhere_is_told_in_own_words(junk):
    """Every place of both files gets every kind of value: it is taken, or refused without pydantic's words."""
    rich_study = STUDY | {
        "windows": {"as_of": "2025-01-01"},
        "alignment": {"authority": "b1", "epoch": "1", "inclusion_probability": 0.5},
        "bins": {"count": 4},
        "holdout": {"kind": "pseudonym", "percent": 30},
        "evaluation": {"bins": 24, "by_bank": False},
        "expected": {"default_rate": 0.1},
        "training": {"mode": "silo", "optimiser": "sgd"},
        "scorecard": {"gram_rows": 5000},
    }
    told = [
        (path, text)
        for content, take in (
            (rich_study, lambda c: study_from(c, where="file x")),
            (BANK, lambda c: checked(Institution, c, where="file x")),
        )
        for path in places(content)
        if PYDANTIC.search(text := refusal(take, edited(content, path, junk)))
    ]
    assert not told
