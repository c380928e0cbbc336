"""``fedrisk watch send``: alerts that a receiver refused, or has not taken yet, are given to it once more."""

from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.asking import Place
from fedrisk.cli.common import AsJson
from fedrisk.cli.output import tell, tell_json
from fedrisk.cli.watch import Name, raise_untold, watch_app
from fedrisk.cli.watch_alerts import bank_node, watch_with, watches_of
from fedrisk.language import either

if TYPE_CHECKING:
    from fedrisk.watching.sinks import Undelivered

One = Annotated[
    str | None,
    typer.Argument(
        help="Of the alerts that were refused, this one alone: its id or the beginning of it, for example 91c2; "
        "default: all.",
        show_default=False,
    ),
]


@watch_app.command("send")
def watch_send(bank: Place, alert: One = None, watch: Name = None, as_json: AsJson = False) -> None:
    """Give alerts that a receiver refused to it once more, and all that wait; for example fedrisk watch send bank 91c2.

    No month is scored and nobody is asked. Which alerts were refused, and why, says fedrisk watch alerts. The exit code
    is as of fedrisk watch: 75 where alerts still wait, 8 where one was refused again.
    """
    from fedrisk.watching.run import send_again

    node = bank_node(bank)
    found = watches_of(node, watch)
    chosen = list(found.values()) if alert is None else [watch_with(found, alert)]
    lifted = 0
    left: dict[str, Undelivered] = {}
    for kept in chosen:
        again, untold = send_again(node, kept, alert)
        lifted += again
        left |= {f"{kept.folder.name}, {sink}": one for sink, one in untold.items()}
    if as_json:
        said = {name: vars(one) for name, one in left.items()}
        tell_json({"bank": node.name, "given_again": lifted, "waiting": said})
    else:
        tell(
            either(
                "{count} refused alert was given again", "{count:,} refused alerts were given again", lifted
            )
        )
    raise_untold(left, "no alert is lost")
