"""An institution's part of a model, made anew from what its attempt kept: what an approval holds the part against."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from fedrisk.clients import own_results
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError, StoreError
from fedrisk.models.edited_card import FILE, EditedCard
from fedrisk.recipe import Recipe
from fedrisk.recipes import recipe_named
from fedrisk.serving import registry

if TYPE_CHECKING:
    from fedrisk.models.model_part import ModelPart


def follows(node: Node) -> "Callable[[ModelPart], ModelPart]":
    """Makes parts of the institution anew, by the recipe of their study; FedriskError where nothing follows."""

    def made(kept: "ModelPart") -> "ModelPart":
        if kept.edited:
            return _edited(node, _kept_card(node, kept))
        recipe = _recipe(node, kept.attempt)
        if recipe.part is None:
            raise ConfigError(f"recipe {recipe.name} leaves no model that serves")
        return recipe.part(Attempt(node, node.store.attempt(kept.attempt)))

    return made


def take_edited(node: Node, edited: EditedCard) -> "ModelPart":
    """Keep an institution's part of an edited card as a candidate, with the card; a person approves it.

    The card has to follow by its edits from what this institution was told in the study: ConfigError or ProtocolError
    where it does not, or where the institution was not in the study.
    """
    if not node.store.knows(edited.attempt):
        raise ConfigError(
            f"{node.name} took no part in attempt {edited.attempt} of study {edited.study}, of which the card is; it "
            "has nothing to serve of it"
        )
    return registry.candidate(node, _edited(node, edited), {FILE: edited.to_json().encode()})


def _edited(node: Node, card: EditedCard) -> "ModelPart":
    recipe = _recipe(node, card.attempt)
    if recipe.edited_part is None:
        raise ConfigError(f"recipe {recipe.name} leaves no card that could be edited")
    return recipe.edited_part(Attempt(node, node.store.attempt(card.attempt)), card)


def _kept_card(node: Node, kept: "ModelPart") -> EditedCard:
    raw = node.store.models.file(kept.model, FILE)
    if raw is None or hashlib.sha256(raw).hexdigest() != kept.edited:
        raise StoreError(
            f"the edited card of model {kept.model} is not in its folder, or is another one; take it once more with "
            "fedrisk model edited"
        )
    return EditedCard.from_json(raw.decode())


def _recipe(node: Node, attempt: str) -> Recipe:
    return recipe_named(own_results.recipe_name(node, attempt))
