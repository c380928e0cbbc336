"""A member's side of the common view: it takes what all are told alike, and answers only what the others confirm.

Before an exchange is answered, everything that was told in earlier exchanges has to be confirmed by all other members,
under keys that the hub does not have. What is told in the very message that asks for a release cannot be confirmed yet:
masks and seals of the answer are made for the view (:attr:`fedrisk.clients.attempt.Attempt.view`), so that members who
were told different things make a sum that opens to random numbers, and an envelope that does not open.
"""

from dataclasses import replace
from itertools import pairwise

from fedrisk.clients.attempt import Attempt, Peers, View
from fedrisk.clients.node import Node
from fedrisk.errors import FedriskError, ProtocolError, VersionError
from fedrisk.protocol import versions
from fedrisk.protocol.actions import Action
from fedrisk.protocol.common_view import (
    CONFIRM,
    Part,
    confirmation,
    malformed,
    next_digest,
    same,
    split,
)
from fedrisk.protocol.form import Confirmed
from fedrisk.protocol.payload import Payload, pack


def take(node: Node, request: Payload, action: Action) -> Payload:
    """The request without what belongs to the view, once that is checked and kept.

    ProtocolError where a part is not one that comes with this action, is told a second time with other content, or
    where other members have not confirmed, or confirm another view; VersionError where it is in another protocol than
    the attempt.
    """
    own, parts, codes = split(request)
    action.form.check(own, f"request {action.name}")
    if not action.in_attempt:
        if parts or codes:
            raise malformed()
        return own
    attempt = _in_its_protocol(node.attempt(own), request)
    before = attempt.state.find(View) or View()
    for part in parts:
        if part.name not in action.tells:
            raise malformed()
        action.tells[part.name].check(part.content, f"part {part.name}")
    # The very message that told the last parts may come again before the others have confirmed these.
    message = _identity(request, action) if parts else ""
    earlier = before.earlier if message and message == before.message else len(before.digests)
    view = _with_parts(attempt, before, parts)
    if attempt.state.over and view == before:
        # The keys that codes are checked by are gone; handlers give what is on the disk, or refuse.
        return own
    attempt.state.still_runs()
    view = _with_codes(attempt, view, codes)
    _check_confirmed(attempt, view, earlier)
    if len(view.digests) > len(before.digests):
        view = replace(view, message=message, earlier=earlier)
    for part in parts:
        if part.number > len(before.digests):
            attempt.state.put_message(f"told_{part.name}", pack(part.content))
    if view != before:
        attempt.state.save(view)
    return own


def check_protocol(request: Payload, protocol: int) -> None:
    """VersionError where a message is in another protocol than all members were told that their study runs in."""
    came = versions.PROTOCOL if request.protocol is None else request.protocol
    if came != protocol:
        raise VersionError(
            f"the hub asks in protocol {came}, and all were told that this attempt runs in protocol {protocol}; an "
            "attempt keeps its protocol. Upgrade between studies, and run this one again"
        )


def _in_its_protocol(attempt: Attempt, request: Payload) -> Attempt:
    peers = attempt.state.find(Peers)
    if peers is not None:
        check_protocol(request, peers.protocol)
    return attempt


def confirmed(node: Node, request: Payload, action: Action, answer: Payload) -> Payload:
    """The answer with this member's codes for each other member; as it is where nothing was told yet.

    request: as it came. Codes are for the parts whose own messages were answered: where a charge goes with such a
    message, whoever gets a code knows that it was paid.
    """
    try:
        attempt = node.attempt(request)
        view = attempt.state.find(View)
        if view is None or not view.digests or attempt.state.over:
            return answer
        if view.answered < len(view.digests) and view.message == _identity(request, action):
            view = replace(view, answered=len(view.digests))
            attempt.state.save(view)
        if not view.answered:
            return answer
        number, digest = view.answered, view.digests[view.answered - 1]
        codes = {
            other: confirmation(secret, sender=node.name, receiver=other, number=number, digest=digest)
            for other, secret in attempt.pair_secrets(*_others(attempt, number)).items()
        }
    except FedriskError:
        # A message of no attempt, or of one whose keys are not known yet.
        return answer
    return Payload({**answer.body, CONFIRM: {"number": number, "codes": codes}}, answer.blobs)


def _identity(request: Payload, action: Action) -> str:
    return f"{action.name} {request.digest()}"


def _with_parts(attempt: Attempt, view: View, parts: list[Part]) -> View:
    digests = list(view.digests)
    names = list(view.names)
    if any(later.number <= part.number for part, later in pairwise(parts)):
        raise malformed()
    for part in parts:
        if not 1 <= part.number <= len(digests) + 1:
            raise malformed()
        digest = next_digest(attempt.view_after(digests[: part.number - 1]), part)
        if part.number <= len(digests):
            if digests[part.number - 1] != digest:
                raise ProtocolError(
                    f"the hub told part {part.name} before, with other content; nothing more is answered. "
                    "Ask the consortium's operator, and run the study again"
                )
            continue
        if part.name in names:
            raise malformed()
        digests.append(digest)
        names.append(part.name)
    return replace(view, digests=tuple(digests), names=tuple(names))


def _with_codes(attempt: Attempt, view: View, codes: dict[str, object]) -> View:
    """The view with the others' codes that came, each verified."""
    if not codes:
        return view
    given: dict[str, Confirmed] = {}
    for name, code in codes.items():
        if name not in attempt.study.members or name == attempt.name:
            raise malformed()
        try:
            given[name] = Confirmed.model_validate(code)
        except ValueError:
            raise malformed() from None
        if given[name].number > len(view.digests):
            raise malformed()
    secrets = attempt.pair_secrets(*given)
    kept = dict(view.confirmed)
    for name, code in given.items():
        expected = confirmation(
            secrets[name],
            sender=name,
            receiver=attempt.name,
            number=code.number,
            digest=view.digests[code.number - 1],
        )
        if not same(expected, code.code):
            raise _different(name)
        kept[name] = max(kept.get(name, 0), code.number)
    return replace(view, confirmed=kept)


def _check_confirmed(attempt: Attempt, view: View, earlier: int) -> None:
    """Whether all others have confirmed what was told up to part ``earlier``."""
    missing = [n for n in _others(attempt, earlier) if view.confirmed.get(n, 0) < earlier]
    if missing:
        raise _different(missing[0])


def _others(attempt: Attempt, number: int) -> list[str]:
    """Members that are told part ``number``: those that bring no records are told the first only."""
    study = attempt.study
    return [name for name in study.members if name != attempt.name and (number <= 1 or study.has_table(name))]


def _different(name: str) -> ProtocolError:
    return ProtocolError(
        f"{name} does not confirm that it was told the same as this institution; members of one study have to see the "
        "same roster, keys, rows and released numbers. Nothing is answered. Ask the consortium's operator why, and "
        "run the study again"
    )
