"""What stands between a bank that asks and the members of a model: the hub's relay, or one machine's own handlers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fedrisk.secure.identity import SignedKey


@dataclass(frozen=True)
class Reply:
    """One member's answer as it came: a code of `codes.WHOLE` and no envelope, or "" and an envelope."""

    code: str
    envelope: bytes = b""


class Relay(Protocol):
    """How a question reaches the members of a model. Safe to use from several threads."""

    def keys(self, members: Sequence[str], epoch: str) -> dict[str, SignedKey]:
        """The members' keys of an epoch, as they signed them and not verified yet; members that have none are absent.

        LaterError where nobody can be asked now.
        """
        ...

    def ask(self, id: str, model: str, envelopes: Mapping[str, bytes], seconds: float) -> dict[str, Reply]:
        """Send each member its envelope and wait; one Reply for each, with the code ``away`` or ``late`` at worst.

        Sending the same once more is safe: a member gives the answer that it gave. LaterError where the relay itself
        cannot be reached within ``seconds``.
        """
        ...
