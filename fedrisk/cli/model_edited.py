"""``fedrisk model edited``: an edited card as a candidate of an institution."""

from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli.common import AsJson, InstitutionFile
from fedrisk.cli.output import note, tell, tell_json


def model_edited(
    institution: InstitutionFile,
    card: Annotated[
        Path,
        typer.Argument(
            help="The edited card as `fedrisk card edit` wrote it, folder or file, for example results/may_edited.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Take an edited card as a model that may serve, once it follows by its edits from what was told here.

    Nothing is taken on trust: the edits are made again from the totals that this institution was told in the study.
    Every member takes the same file and approves by itself, as with any model.
    """
    from fedrisk.cli.card_screen import show_history
    from fedrisk.cli.model_screen import summary_of
    from fedrisk.clients.node import Node
    from fedrisk.engine.card_files import find_card
    from fedrisk.engine.kept_parts import take_edited
    from fedrisk.errors import ConfigError
    from fedrisk.language import _

    edited = find_card(str(card)).edited
    if edited is None:
        raise ConfigError(f"{card}: this card was not edited; members have the study's own card already")
    node = Node.load(institution).opened()
    part = take_edited(node, edited)
    if as_json:
        tell_json({"institution": node.name, **summary_of(part, node.store.models.state(part.model))})
        return
    show_history(edited)
    tell(
        _(
            "model {model} ({name}, version {version}) is a candidate at {institution}",
            model=part.model,
            name=part.name,
            version=part.version,
            institution=node.name,
        )
    )
    note(
        _(
            "look at it with fedrisk model show {file} {model}, then approve or refuse it",
            file=institution,
            model=part.model[:8],
        )
    )
