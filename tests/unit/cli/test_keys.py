"""The reference of keys is complete, its examples are taken, and its page is what the command prints."""

import tomllib
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import TypeAdapter

from fedrisk.cli import keys

PAGE = Path(__file__).parents[3] / "docs" / "keys.md"
ALL = list(keys.all_keys())


def test_every_key_has_a_meaning_and_an_example():
    lacking = [k.path for k in ALL if not k.means or not k.example]
    assert not lacking, f"write means and example in fedrisk/cli/keys.toml for {', '.join(lacking)}"


def test_nothing_is_explained_that_is_no_key():
    known = {(k.section, k.name) for k in ALL}
    stale = [
        (s, n) for s, said in keys.words().items() for n in said if n != "_about" and (s, n) not in known
    ]
    assert not stale
    assert {s for s, _ in known} == set(keys.words())


@pytest.mark.parametrize("key", ALL, ids=lambda k: f"{k.section}.{k.name}")
def test_examples_are_taken_by_the_model(key):
    content = tomllib.loads(key.example)
    assert list(content) == [key.name]
    _, model = keys.models()[key.section]
    field = next(f for name, f in model.model_fields.items() if key.name == (f.alias or name))
    if key.name in ("bins", "special", "folder", "delimiter", "percent"):
        return  # read by validators of the whole, which the tests of dictionaries and tables look at
    whole = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    TypeAdapter(whole).validate_python(content[key.name])


def test_the_page_is_up_to_date():
    told = "run: fedrisk keys --markdown > docs/keys.md"
    assert PAGE.read_text(encoding="utf-8") == keys.markdown(), told


def test_limits_and_defaults_come_from_the_models():
    by_path = {k.path: k for k in ALL}
    assert by_path["holdout.percent"].type == "whole number, from 5 to 60"
    assert by_path["holdout.percent"].default == "30"
    assert by_path["policy.scores"].type == '"bands" or "points"'
    assert by_path["privacy.epsilon"].default == "required"
    assert by_path["dictionary.columns.special"].type == "table"
    assert by_path["table.source"].type.startswith("text")
