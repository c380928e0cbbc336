"""Texts of a study of another label name it where they say default; all else stays, values too."""

import pytest

from fedrisk.language import _, about, speaking


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("default rate of the hold-out", "rate of distress of the hold-out"),
        ("probability of default", "probability of distress"),
        ("{defaults:,} defaults, {others:,} others", "3 cases of distress, 7 others"),
        (
            "expected.default_rate, loss given default, by default",
            "expected.default_rate, loss given default, by default",
        ),
        ("the group defaults more often", "the group has distress more often"),
    ],
)
def test_default_is_named_as_the_label(text, said):
    with speaking("en"), about("distress"):
        assert _(text, defaults=3, others=7) == said
    with speaking("en"), about("default"):
        assert "distress" not in _(text, defaults=3, others=7)


def test_values_are_not_touched_and_the_block_ends():
    with speaking("en"):
        with about("distress"):
            assert (
                _("{name}: default rate", name="default rate of shops")
                == "default rate of shops: rate of distress"
            )
        assert _("default rate") == "default rate"


def test_in_chinese_too():
    with speaking("zh"), about("distress"):
        assert _("default rate of the hold-out") == "留出样本“distress”率"
