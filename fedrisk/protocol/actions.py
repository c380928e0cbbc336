"""The actions that a hub can ask an institution for, each with what it discloses, said once where its handler is.

A message names an action. What other institutions' blobs in the request are, what the answer's blobs are for them, and
what the answer itself says to the hub is said here in codes: they go into the audit trail, and words for them are in
report/words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fedrisk.privacy.policy import Policy
from fedrisk.protocol.form import Form
from fedrisk.protocol.payload import Payload
from fedrisk.releases.release import parties
from fedrisk.study import Study

Counterparty = Callable[[Study, str, str], str | None]
"""(study, this institution, name of a blob) -> the institution whose blob it is, or None where it is nobody's."""


def named(study: Study, institution: str, blob: str) -> str | None:
    """The blob is named by an institution; other names (the shared model) are nobody's."""
    return blob if blob in study.members else None


def authority(study: Study, institution: str, blob: str) -> str | None:
    """The key authority of the pseudonyms."""
    return study.authority


def partner(study: Study, institution: str, blob: str) -> str | None:
    """The blob is named by a secure product; its other side."""
    left, right = parties(blob)
    return right if left == institution else left


@dataclass(frozen=True)
class Disclosure:
    """What kind of thing goes from one institution to another or to the hub, and how it is protected, as codes.

    kind: a code, or a function of study and institution where it depends on them. protection: a code, or a function of
    study and policy.
    """

    kind: str | Callable[[Study, str], str]
    protection: str | Callable[[Study, Policy], str]
    counterparty: Counterparty = named

    def kind_in(self, study: Study, institution: str) -> str:
        """The kind's code in a study at an institution."""
        return self.kind if isinstance(self.kind, str) else self.kind(study, institution)

    def protection_in(self, study: Study, policy: Policy) -> str:
        """The protection's code in a study at an institution with this policy."""
        return self.protection if isinstance(self.protection, str) else self.protection(study, policy)


OBSERVE, TABLES = "observe", "tables"
"""The action by which a regulator is given the signed tables of all members, and the blob that holds them."""

WARN = "warn"
"""The action by which banks are told the totals of the evaluation, from which the threshold of warnings follows."""

NOTHING_ELSE = Form()
"""A request that names its attempt and says nothing else."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing that a node answers.

    serve: (node, request) -> answer. form: of the request without what belongs to the common view; checked before
    ``serve`` is called. tells: parts of the common view that may come with it, with their forms. in_attempt: whether
    the attempt has begun before it comes. entered: whether every message of it enters the trail; a handler that is
    asked the same again and again enters what is new itself. receives: what other institutions sent with the request.
    sends: what goes to other institutions with the answer. answers: what the answer itself says to the hub, where that
    is not a release. scores: whether scores are given to banks, or taken by one. last: whether an institution's part in
    the attempt is over with its answer; then it forgets the attempt's secrets. last_of_authority: the same of an
    institution that is the key authority alone.
    """

    name: str
    serve: Callable[[Any, Payload], Payload]
    form: Form = NOTHING_ELSE
    tells: Mapping[str, Form] = field(default_factory=dict)
    in_attempt: bool = True
    entered: bool = True
    receives: Disclosure | None = None
    sends: Disclosure | None = None
    answers: Disclosure | None = None
    scores: Literal["given", "taken"] | None = None
    last: bool = False
    last_of_authority: bool = False
