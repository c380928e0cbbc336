"""Which protocol a study runs in: the highest that the hub and all members speak, from their answers to describe.

A node that does not know the protocol of a request refuses with the code ``version`` and says what it speaks, so that
the hub can ask once more in an earlier one (protocol/versions). Where there is no common one, the error says whom to
upgrade. Answers stand by member, or by number of the node where the grid does not say whose it is.
"""

from collections.abc import Collection, Mapping

from fedrisk.errors import VersionError
from fedrisk.protocol import versions
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.versions import Spoken


def common_protocol(replies: Mapping[str, Payload]) -> int | None:
    """The highest protocol of all that speak one with this hub; None where these have none in common."""
    protocols = [said.protocols for said in _spoken(replies).values()]
    return versions.common(p for p in protocols if versions.common([p]) is not None)


def checked_answer(answer: Payload, asked: int) -> Payload:
    """An answer that came in the protocol in which was asked, or a refusal; all else is as if refused with ``version``.

    A node from before protocols had numbers does not understand what names one.
    """
    numbered = answer.protocol != versions.UNNUMBERED
    if answer.protocol == asked or (answer.refusal is not None and numbered):
        return answer
    return Payload({"refused": VersionError.code})


def version_error(
    replies: Mapping[str, Payload], members: Collection[str], missing: Collection[str], study_format: int
) -> VersionError | None:
    """Why a member that has to be there refused as of another version, and whom to upgrade; None where none did."""
    for key, answer in replies.items():
        if answer.refusal != VersionError.code or not missing or (key in members and key not in missing):
            continue
        name, spoken = key if key in members else " or ".join(sorted(missing)), _spoken(replies)
        there = spoken.get(key)
        why = versions.of_node(name, there, study_format=study_format)
        if there is not None and versions.common([there.protocols]) and common_protocol(replies) is None:
            why = versions.of_members(spoken)
        return VersionError(f"{why}. Nothing was charged")
    return None


def refused_late(answers: Mapping[str, Payload]) -> str:
    """The sentences on those who refused a later request as of another version; empty where none did."""
    late = {name: a for name, a in answers.items() if a.refusal == VersionError.code}
    return "; ".join(versions.of_node(name, Spoken.found(a.body)) for name, a in late.items())


def _spoken(replies: Mapping[str, Payload]) -> dict[str, Spoken]:
    """What members speak, by their names or by those of their nodes."""
    found = {}
    for key, answer in replies.items():
        said = Spoken.found(answer.body)
        if said is not None and (answer.refusal == VersionError.code or answer.body.get("member") is True):
            found[str(answer.body.get("name", key))] = said
    return found
