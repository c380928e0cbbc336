"""``fedrisk node``: the commands of an institution's node; each stands in a file ``node_*.py`` of its own."""

from pathlib import Path
from typing import Annotated

import typer

node_app = typer.Typer(
    help="An institution's node in a consortium: join, serve, decide on proposals, look after keys.",
    no_args_is_help=True,
)

NodeFolder = Annotated[
    Path,
    typer.Argument(
        envvar="FEDRISK_NODE",
        help="The node's folder, for example /srv/bank; FEDRISK_NODE names it once for all.",
        show_default=False,
    ),
]
