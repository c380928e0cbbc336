"""Which versions of the messages a hub and an institution's node understand, and who has to upgrade where they differ.

Every message names the protocol that it is written in, beside its content, so that this number can be read whatever
else has changed. This version writes `PROTOCOL` and reads that and the one before (`SUPPORTED`). A study runs in one
protocol from its first part that all are told to its end: the highest that the hub and all members speak. So hub and
nodes are upgraded one after the other, nodes first: a hub of protocol N works with nodes of N, N - 1 and N + 1.

What a later version asks for and this one does not know (a protocol, an action, a field, a study's format) is refused
with the code ``version`` and with what this side speaks, before anything is charged. These few fields of a refusal keep
their form in all protocols.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import fedrisk
from fedrisk.errors import VersionError
from fedrisk.study import FORMAT

PROTOCOL = 1
"""What this version writes. One more with every change of messages that an earlier version would not understand."""

SUPPORTED = frozenset(range(max(1, PROTOCOL - 1), PROTOCOL + 1))
"""What this version reads, and writes to those who speak no later one."""

UNNUMBERED = 0
"""Stands for messages from before protocols had numbers."""

_MOST = 1 << 16
_RELEASE = re.compile(r"[0-9A-Za-z.+-]{1,32}")


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What one side speaks: protocols in ascending order, its release of fedrisk, the latest format of studies."""

    protocols: tuple[int, ...]
    fedrisk: str
    study_format: int

    @classmethod
    def here(cls) -> "Spoken":
        """What this version speaks."""
        return cls(protocols=tuple(sorted(SUPPORTED)), fedrisk=fedrisk.__version__, study_format=FORMAT)

    @classmethod
    def found(cls, content: Mapping[str, Any]) -> "Spoken | None":
        """What another side says that it speaks; None where it says nothing that has this form.

        >>> Spoken.found({**Spoken.here().to_dict(), "refused": "version"}) == Spoken.here()
        True
        >>> Spoken.found({"protocols": [True], "fedrisk": "1", "study_format": 1}) is None
        True
        """
        protocols, release = content.get("protocols"), content.get("fedrisk")
        numbers = [*protocols] if isinstance(protocols, list | tuple) else []
        numbers.append(content.get("study_format"))
        if not 2 <= len(numbers) <= 17 or not all(type(n) is int and 1 <= n <= _MOST for n in numbers):
            return None
        if not isinstance(release, str) or not _RELEASE.fullmatch(release):
            return None
        *spoken, study_format = numbers
        return cls(protocols=tuple(sorted(set(spoken))), fedrisk=release, study_format=study_format)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in an answer, or in a request to join."""
        return {
            "protocols": [*self.protocols],
            "fedrisk": self.fedrisk,
            "study_format": self.study_format,
        }


def common(spoken: Iterable[Collection[int]]) -> int | None:
    """The highest protocol that this version and all others speak; None where there is none.

    >>> common([{1, 2}, [1]]), common([[99, 100]]), common([])
    (1, None, 1)
    """
    shared = set(SUPPORTED).intersection(*spoken)
    return max(shared) if shared else None


def check_of_hub(protocol: int) -> None:
    """At a node: VersionError, which says whom to upgrade, where the hub writes a protocol that is not read here."""
    if protocol in SUPPORTED:
        return
    here = f"this node (fedrisk {fedrisk.__version__}) {_numbers(SUPPORTED)}"
    if protocol > max(SUPPORTED):
        raise VersionError(f"the hub speaks protocol {protocol}, and {here}: upgrade fedrisk here")
    older = (
        "the hub's message names no protocol, so it is of a version from before these had numbers"
        if protocol == UNNUMBERED
        else f"the hub speaks protocol {protocol}"
    )
    raise VersionError(
        f"{older}, and {here}: fedrisk at the hub has to be upgraded. Ask the consortium's operator, and run the "
        "earlier version here until then"
    )


def of_node(name: str, there: Spoken | None, *, study_format: int = 1) -> str:
    """At the hub: why an institution's node does not understand it, and whom to upgrade, as a sentence.

    there: what its node says that it speaks; None where it says nothing of the kind.
    """
    own = f"this hub (fedrisk {fedrisk.__version__})"
    if there is None:
        return (
            f"{name} runs a fedrisk from before protocols had numbers, and {own} speaks protocol "
            f"{_numbers(SUPPORTED)}; {_upgrade_or_without(name)}"
        )
    release = f"{name} (fedrisk {there.fedrisk})"
    both = f"{release} speaks protocol {_numbers(there.protocols)}, {own} {_numbers(SUPPORTED)}"
    if max(there.protocols) < min(SUPPORTED):
        return f"{both}; {_upgrade_or_without(name)}"
    if min(there.protocols) > max(SUPPORTED):
        return f"{both}; upgrade fedrisk at the hub, or have {name} run the earlier version until then"
    if there.study_format < study_format:
        return (
            f"{release} reads studies up to format {there.study_format}, and this one has format {study_format}; "
            f"{_upgrade_or_without(name)}"
        )
    return (
        f"{release} does not know a protocol, an action or a field that {own} asks it for; run the same release on "
        f"both sides: {_upgrade_or_without(name)}"
    )


def of_members(spoken: Mapping[str, Spoken]) -> str:
    """At the hub: that each member speaks with the hub, but no protocol is common to all, as a sentence."""
    said = "; ".join(
        f"{name} (fedrisk {there.fedrisk}): {_numbers(there.protocols)}" for name, there in spoken.items()
    )
    behind = min(spoken, key=lambda name: max(spoken[name].protocols))
    return f"the members speak no common protocol ({said}), and a study runs in one; {_upgrade_or_without(behind)}"


def _upgrade_or_without(name: str) -> str:
    return f"upgrade fedrisk at {name}, or run the study without it"


def _numbers(protocols: Collection[int]) -> str:
    """Protocols in words.

    >>> _numbers({1}), _numbers({3, 2})
    ('1 only', '2 and 3')
    """
    listed = [str(number) for number in sorted(protocols)]
    return f"{listed[0]} only" if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
