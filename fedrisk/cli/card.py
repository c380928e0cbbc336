"""`fedrisk card ...`: a released card after its study. What it does is arithmetic on released numbers."""

import typer

card_app = typer.Typer(help="A released card: show, edit and verify it.", no_args_is_help=True)
