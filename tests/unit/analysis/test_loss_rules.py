"""Files of rules: what they may say, and what is told of those that are wrong."""

from pathlib import Path

import pytest

from fedrisk.analysis.loss_rules import LossRules, load_loss_rules
from fedrisk.errors import ConfigError

EXAMPLES = sorted((Path(__file__).parents[3] / "configs" / "losses").glob("rules_*.toml"))

GOOD = """\
name = "rules"
rest = "bank"
[[parties]]
name = "guarantor"
[[parties]]
name = "bank"
[[segments]]
name = "all"
[[segments.layers]]
up_to = 0.01
shares = { bank = 1.0 }
[[segments.layers]]
shares = { guarantor = 0.8, bank = 0.2 }
"""


def rules(tmp_path: Path, text: str) -> LossRules:
    file = tmp_path / "rules.toml"
    file.write_text(text, encoding="utf-8")
    return load_loss_rules(file)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.stem)
def test_the_examples_are_right_and_named_as_their_shares(file):
    loaded = load_loss_rules(file)
    assert loaded.name == file.stem
    last = loaded.segments[-1].layers[-1]
    digits = "".join(f"{round(10 * s)}" for s in last.shares.values())
    assert loaded.title == digits == file.stem.removeprefix("rules_")


def test_there_are_examples_of_three_schemes():
    assert [f.stem for f in EXAMPLES] == ["rules_4321", "rules_5221", "rules_5311"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "guarantor = 0.8, bank",
            "guarantor = 0.7, bank",
            "shares add up to 0.9; they must add up to exactly 1",
        ),
        ("guarantor = 0.8", "city = 0.8", "names city, who is no party; parties are bank, guarantor"),
        ('rest = "bank"', 'rest = "city"', "rest names city"),
        ("up_to = 0.01\n", "", "layer 1 has no end, so those after it are never reached"),
        (
            "shares = { guarantor = 0.8",
            "up_to = 0.02\nshares = { guarantor = 0.8",
            "its last layer ends at some loss",
        ),
        ('name = "guarantor"', 'name = "bank"', "party bank stands 2 times"),
        ('name = "bank"', 'name = "bank"\ncap = 5.0', "party bank is rest"),
        ('name = "guarantor"', 'name = "guarantor"\ncap = 0.001', "has parts of a fen"),
        ('name = "guarantor"', 'name = "guarantor"\ncap = 1.0\ncap_rate = 0.1', "has cap and cap_rate"),
        ('rest = "bank"', 'rest = "bank"\norder = ["caps", "caps", "pool"]', "order has to name each"),
        (
            'rest = "bank"',
            'rest = "bank"\npool = { size = 9.0, pays = ["bank"], beyond = "bank" }',
            "pool: beyond",
        ),
        ('rest = "bank"', 'rest = "bank"\nsheres = 1', "is not a known key"),
        (
            "[[segments]]",
            '[[segments]]\nname = "x"\nlayers = [{ shares = { bank = 1.0 } }]\n[[segments]]',
            "put it last",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, before, after, told):
    rules(tmp_path, GOOD)
    with pytest.raises(ConfigError, match="loss rules .*rules.toml breaks 1 rule") as error:
        rules(tmp_path, GOOD.replace(before, after, 1))
    assert told in str(error.value)


def test_layers_grow(tmp_path):
    more = "[[segments.layers]]\nup_to = 0.005\nshares = { bank = 1.0 }\n"
    text = GOOD.replace("[[segments.layers]]\nshares", f"{more}[[segments.layers]]\nshares")
    with pytest.raises(ConfigError, match="up_to must grow"):
        rules(tmp_path, text)


def test_decimal_shares_are_exact(tmp_path):
    """Ten shares of 0.1 add up to 1, which they do not in floating point."""
    assert sum([0.1] * 10) != 1
    parties = "\n".join(f'[[parties]]\nname = "p{k}"' for k in range(10))
    shares = ", ".join(f"p{k} = 0.1" for k in range(10))
    text = f'name = "ten"\nrest = "p0"\n{parties}\n[[segments]]\nname = "all"\n[[segments.layers]]\nshares = {{ {shares} }}'
    assert len(rules(tmp_path, text).parties) == 10
