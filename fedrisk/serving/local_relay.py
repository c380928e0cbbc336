"""The relay of one machine: the handlers of all members of a consortium in this process, without a hub between them."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from pathlib import Path

from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError, FedriskError
from fedrisk.secure.identity import SignedKey
from fedrisk.serving.holder import Holder
from fedrisk.serving.relay import Reply

THREADS = 8
"""Most members that are asked at once."""


class LocalRelay:
    """Relay over institution files, by name. asker: the bank that asks; the only one among them where it is left out.

    Stores have to know each other's keys (``fedrisk run`` on one machine pins them).
    """

    def __init__(
        self,
        institutions: Mapping[str, str | Path],
        asker: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        nodes = {name: Node.open(path) for name, path in institutions.items()}
        self.holders = {name: Holder(node, self.keys, clock=clock) for name, node in nodes.items()}
        self._banks = [name for name, node in nodes.items() if node.institution.kind == "bank"]
        self._asker = asker
        self._pool = ThreadPoolExecutor(THREADS, "relay")

    def of(self, asker: str) -> "LocalRelay":
        """The same relay as another bank has it."""
        other = object.__new__(LocalRelay)
        other.__dict__ = {**self.__dict__, "_asker": asker}
        return other

    @property
    def asker(self) -> str:
        """The bank that asks; ConfigError where it is not clear which."""
        if self._asker is not None:
            return self._asker
        if len(self._banks) != 1:
            raise ConfigError(f"{len(self._banks)} banks are here; name the one that asks")
        return self._banks[0]

    def keys(self, members: Sequence[str], epoch: str) -> dict[str, SignedKey]:
        """The members' keys of an epoch, as they signed them."""
        found = {}
        for name in members:
            if name in self.holders:
                try:
                    found[name] = self.holders[name].key(epoch)
                except FedriskError:
                    continue
        return found

    def ask(self, id: str, model: str, envelopes: Mapping[str, bytes], seconds: float) -> dict[str, Reply]:
        """Each member's reply; ``away`` of one that is not here, ``late`` of one that takes longer."""
        asker, end = self.asker, time.monotonic() + seconds
        waiting = {
            name: self._pool.submit(self.holders[name].answer, asker, id, model, envelope)
            for name, envelope in envelopes.items()
            if name in self.holders
        }
        out = dict.fromkeys(envelopes, Reply("away"))
        for name, reply in waiting.items():
            try:
                out[name] = reply.result(max(0.0, end - time.monotonic()))
            except Late:
                out[name] = Reply("late")
        return out

    def close(self) -> None:
        """End its threads, and close what its members have open."""
        self._pool.shutdown()
        for holder in self.holders.values():
            holder.close()
