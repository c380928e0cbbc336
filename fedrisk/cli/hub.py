"""``fedrisk hub``: the commands of a consortium's operator; each stands in a file ``hub_*.py`` of its own."""

from pathlib import Path
from typing import Annotated

import typer

hub_app = typer.Typer(
    help="A consortium's hub: make it, let institutions in, serve, propose studies and see their runs.",
    no_args_is_help=True,
)

HubFolder = Annotated[
    Path,
    typer.Argument(
        envvar="FEDRISK_HUB",
        help="The hub's folder, for example /srv/hub; FEDRISK_HUB names it once for all.",
        show_default=False,
    ),
]
