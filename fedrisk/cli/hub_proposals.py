"""``fedrisk hub withdraw``: take a proposed study back."""

from typing import Annotated

import typer

from fedrisk.cli.hub import HubFolder, hub_app
from fedrisk.cli.output import tell


@hub_app.command("withdraw")
def hub_withdraw(
    hub: HubFolder,
    proposal: Annotated[
        str, typer.Argument(help="The proposal, or the first letters of its id, for example 1f3a.")
    ],
) -> None:
    """Take back a proposed study that does not run; its members are asked no more, and what they approved lapses."""
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.server.hub import Hub
    from fedrisk.server.proposals import Proposals

    found = Proposals(Hub(HubHome.load(hub).path)).withdraw(proposal)
    tell(f"withdrawn: proposal {found.id}, study {found.whole.name}")
