"""A bank and holders with a model made by hand, each with a node, a hub between them, and real certificates."""

import contextlib
from pathlib import Path
from typing import Any

from fedrisk.clients.node import Node
from fedrisk.serving.asking import Asking
from fedrisk.serving.holder import Holder
from fedrisk.serving.hub_relay import HubRelay
from support.scoring import Relaying, attending, files_of, scoring_consortium
from support.serving import Consortium, part_of


class DeployedScores(Consortium):
    """The consortium of ``support/serving``, whose members know each other by the hub's roster.

    Every member attends at the hub's relay with its real handler, in threads of this process.
    """

    def __post_init__(self) -> None:
        for name in self.names:
            self.write(name, self.values.get(name, (0.0, 1.0, 2.0, None)))
        roles = {name: "bank" if name in self.banks else "holder" for name in self.names}
        self.hub = scoring_consortium(self.folder / "hub", roles, institutions=self.paths)
        self.nodes = {name: Node.open(path) for name, path in self.paths.items()}
        for name in self.names:
            self.put(part_of(name, self.holders, self.banks))
            self.set_state(name, "approved")

    @contextlib.contextmanager
    def served(self, relaying: Any = None):
        """All members attend while the block runs; the bank's way to ask. relaying: another relay than the hub's."""
        with contextlib.ExitStack() as stack:
            relay = stack.enter_context(Relaying(self.hub.home)) if relaying is None else relaying
            self.handlers = {}
            for name in self.names:
                connection = HubRelay(files_of(self.hub, name))
                stack.callback(connection.close)
                holder = Holder(self.nodes[name], connection.keys)
                stack.callback(holder.close)
                self.handlers[name] = holder
                stack.enter_context(attending(self.hub, holder, relay))
            bank = HubRelay(files_of(self.hub, "bank"))
            stack.callback(bank.close)
            self.bank = bank
            yield Asking(self.nodes["bank"], bank)


def deployed(folder: Path, **how: Any) -> DeployedScores:
    """The consortium below a folder."""
    return DeployedScores(folder, **how)
