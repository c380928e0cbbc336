"""The ClientApp for Flower's simulation engine, where all institutions lie on one machine.

A simulated node is told its number and nothing else; its institution is that one among the files beside the study that
the run's configuration names. Only here does a run's configuration choose a file: a node of a consortium has its own
(`clients/resident`), and never loads this module.
"""

from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from fedrisk.clients.app import make_app


def with_institution(message: Message, context: Context, serve: ClientAppCallable) -> Message:
    """Serve a message as the institution of this partition; a node that names its own file keeps it.

    Where there is no file for it, the node refuses, as every node does that does not know its institution.
    """
    if "institution" not in context.node_config and "partition-id" in context.node_config:
        folder = Path(str(context.run_config.get("study", ""))).resolve().parent / "institutions"
        files, number = sorted(folder.glob("*.toml")), int(context.node_config["partition-id"])
        if 0 <= number < len(files):
            context.node_config["institution"] = str(files[number])
    return serve(message, context)


app = make_app(mods=[with_institution])
