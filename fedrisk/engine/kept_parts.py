"""An institution's part of a model, made anew from what its attempt kept: what an approval holds the part against."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fedrisk.clients import own_results
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError
from fedrisk.recipes import recipe_named

if TYPE_CHECKING:
    from fedrisk.models.model_part import ModelPart


def follows(node: Node) -> "Callable[[ModelPart], ModelPart]":
    """Makes parts of the institution anew, by the recipe of their study; FedriskError where nothing follows."""

    def made(kept: "ModelPart") -> "ModelPart":
        recipe = recipe_named(own_results.recipe_name(node, kept.attempt))
        if recipe.part is None:
            raise ConfigError(f"recipe {recipe.name} leaves no model that serves")
        return recipe.part(Attempt(node, node.store.attempt(kept.attempt)))

    return made
