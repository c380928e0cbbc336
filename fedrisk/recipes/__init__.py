"""The recipes: what kinds of study there are. A further recipe is a folder here and one line in ``RECIPES``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedrisk import study as studies
from fedrisk import study_file
from fedrisk.errors import ConfigError
from fedrisk.protocol.actions import Action
from fedrisk.recipe import Recipe
from fedrisk.recipes import encoder, network, scorecard, statistics
from fedrisk.study import Study
from fedrisk.toml_file import near_name

RECIPES: tuple[Recipe, ...] = (scorecard.RECIPE, network.RECIPE, encoder.RECIPE, statistics.RECIPE)


def recipe_of(study: Study) -> Recipe:
    """The recipe of a study; ConfigError where there is none of that name."""
    return recipe_named(study.recipe)


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; ConfigError where there is none."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    known = [r.name for r in RECIPES]
    near = near_name(name, known)
    meant = f'; did you mean recipe = "{near}"?' if near else ""
    raise ConfigError(f"recipe {name} is unknown; this version has {', '.join(known)}{meant}")


def recipe_actions() -> tuple[Action, ...]:
    """What nodes answer in any recipe, besides what all recipes share."""
    return tuple(action for recipe in RECIPES for action in recipe.actions())


def find_recipe(content: Mapping[str, Any], *, where: str = "study") -> tuple[Study, Recipe]:
    """A study from its content, checked by its recipe, and the recipe."""
    study = studies.study_from(content, where=where)
    recipe = recipe_of(study)
    return recipe.checked(study, where=where), recipe


def study_from(content: Mapping[str, Any], *, where: str = "study") -> Study:
    """Check a mapping and make the study; ConfigError lists what is wrong with it.

    >>> study_from({"name": "s", "purpose": "credit_scoring", "privacy": {"epsilon": 1},
    ...             "institutions": [{"name": "b1", "role": "bank"}]}).settings
    {'gram_rows': 200000}
    """
    return find_recipe(content, where=where)[0]


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study file; ``overrides`` are ``key.sub=value`` with values as in TOML.

    Errors: ConfigError for a missing file, bad syntax, a broken rule or an override that is not of that form.
    """
    study = study_file.load_study(path, overrides)
    return recipe_of(study).checked(study, where=f"study {path}")
