"""Special codes: what they must be, where they may lie, and the remedy for each rule."""

import pytest

from fedrisk.data.special import MOST_SPECIAL, MOST_TEXT, special_problems, special_values

CODES = (("-9", "no record"), ("-8", "no usable trade"))


def problems(special, kind="number", low=0.0, high=10.0, bins=None):
    return special_problems(kind, special, low, high, bins)


def test_codes_outside_the_bounds_or_at_one_of_them_are_right():
    assert problems(()) == problems(CODES) == problems((("0", "a"), ("10", "b"), ("99.5", "c"))) == []
    assert problems(CODES, low=None, high=None, bins=[0.5, 1.5]) == []
    assert problems((("0", "closed"),), low=None, high=None, bins=[0.5, 1.5]) == []
    assert problems(CODES, low=None, high=None) == []  # no feature: a number without bounds
    assert problems((("9", "not stated"),), kind="flag", low=None, high=None) == []
    assert special_values(CODES) == (-9.0, -8.0)


@pytest.mark.parametrize(
    ("special", "change", "rule", "remedy"),
    [
        (
            (("5", "m"),),
            {},
            "code 5 lies strictly within the public bounds 0 to 10",
            "begin or end at the code",
        ),
        (
            (("1", "m"),),
            {"low": None, "high": None, "bins": [0.5, 1.5]},
            "strictly within the public edges 0.5 to 1.5",
            "recode",
        ),
        ((("X", "m"),), {}, '"X" is no finite number', "list it in missing_values"),
        ((("\N{MINUS SIGN}9", "m"),), {}, 'with the sign "-"', "recode it"),
        ((("inf", "m"),), {}, "no finite number", "recode it"),
        ((("nan", "m"),), {}, "no finite number", "recode it"),
        ((("9007199254740992", "m"),), {}, "below 2^53", "recode it"),
        ((("-9", "a"), ("-9.0", "b")), {}, "code -9 is given twice", "remove one"),
        ((("-9", "a"), ("-8", "A")), {}, "one meaning", "tell them apart"),
        ((("-9", " "),), {}, "needs its meaning", "label"),
        ((("-9", " a"),), {}, "without space around", "label"),
        ((("-9", "a\nb"),), {}, "in one line", "label"),
        ((("-9", "a" * (MOST_TEXT + 1)),), {}, f"at most {MOST_TEXT}", "label"),
        ((("-9", "Missing"),), {}, "labels of other bins", "say what the code means"),
        ((("-9", "unknown"),), {}, "labels of other bins", "say what the code means"),
        (tuple((str(-k), f"m{k}") for k in range(1, MOST_SPECIAL + 2)), {}, "has 17 codes", "group them"),
        ((("1", "m"),), {"kind": "flag"}, "code 1 is yes or no", "remove it"),
        (CODES, {"kind": "category"}, "for numbers and flags", "in categories"),
        (CODES, {"kind": "date"}, "not for a date", "remove it"),
    ],
)
def test_each_rule_names_itself_and_the_remedy(special, change, rule, remedy):
    (text,) = problems(special, **change)
    assert rule in text
    assert remedy in text
