"""The hub's part of ``fedrisk check``: what a study is worth saying of it from public facts alone.

The hub has nobody's table, dictionary, policy or budget, and asks for none here. It looks at the study's own rules, at
the roster of the consortium (members, roles, keys, versions), at its own keys, and at what each member would be
charged. The members' part is ``check.check_own``, by each of them; both together are the check of one machine.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from fedrisk.clients.assessment import price_of
from fedrisk.engine.checked import Check, Line
from fedrisk.errors import ConfigError, EnvelopeError, FedriskError, VersionError
from fedrisk.findings import Finding
from fedrisk.privacy.accounting import epsilon_by_relation
from fedrisk.protocol.versions import Spoken, common, of_members, of_node
from fedrisk.recipe import Recipe
from fedrisk.recipes import recipe_of
from fedrisk.releases.budget import total_mu
from fedrisk.server import knowledge
from fedrisk.server.hub import Hub
from fedrisk.study import Study

Rule = Callable[[], object]


class Member(Protocol):
    """An institution of a roster (deploy/roster.RosterMember)."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def role(self) -> str:
        """Its role in the consortium."""
        ...

    @property
    def identity(self) -> str:
        """Its Ed25519 key, hexadecimal."""
        ...

    @property
    def protocols(self) -> tuple[int, ...]:
        """Protocols that it speaks."""
        ...

    @property
    def fedrisk(self) -> str:
        """Its release."""
        ...


class Consortium(Protocol):
    """An epoch of the roster (deploy/roster.Roster)."""

    @property
    def epoch(self) -> int:
        """Its number."""
        ...

    @property
    def members(self) -> Sequence[Member]:
        """Who is in it."""
        ...


def check_public(
    study: Study, roster: Consortium | None, *, hub: Hub, research_seed: int | None = None
) -> Check:
    """What can be said of a study by whoever runs it, without any institution's file.

    roster: of the consortium; None on one machine, where institutions are known by their files. Optional members that
    are not in it, or would not fit, are left out as a run would do it.
    """
    recipe, lost = recipe_of(study), list[Line]()
    research = research_seed is not None
    while True:
        lines = {name: _line(study, recipe, roster, hub, name, research) for name in study.members}
        broken = {name for name, line in lines.items() if line.broken}
        if not broken or not broken <= set(study.optional):
            break
        lost += [replace(lines[name], left_out=True) for name in sorted(broken)]
        try:
            study = recipe.without(study, broken)
        except FedriskError as error:
            return _check(study, [*lines.values(), *lost], [str(error)])
    refused = _broken(_rules(study, recipe, roster, hub, research))
    known: tuple[Finding, ...] = ()
    if roster is not None:
        try:
            known = knowledge.look_up(recipe, study, hub, research=research).findings
        except FedriskError as error:
            refused.append(str(error))
    return _check(study, [*lines.values(), *lost], refused, known)


def _check(
    study: Study, lines: Sequence[Line], refused: Sequence[str], known: tuple[Finding, ...] = ()
) -> Check:
    return Check(
        study=study.name,
        content=study,
        institutions=tuple(lines),
        plan=None,
        expectations=(*charge(study), *known, Finding("public_only")),
        refused=tuple(refused),
        public=True,
    )


def charge(study: Study) -> tuple[Finding, ...]:
    """What each institution is charged, read as epsilon for three different things to hide."""
    privacy, mu = study.privacy, total_mu(study)
    if not math.isfinite(mu):
        return ()
    r = epsilon_by_relation(mu, privacy.delta, label=recipe_of(study).label_price)
    values = {"epsilon": privacy.epsilon, "delta": privacy.delta, "mu": mu}
    if not recipe_of(study).labels:
        # Any value of a record may be another: no label is all that changes.
        return (Finding("charged_values", {**values, "replaced": r.replaced}),)
    return (Finding("charged", {**values, "label_flipped": r.label_flipped, "replaced": r.replaced}),)


def _rules(
    study: Study, recipe: Recipe, roster: Consortium | None, hub: Hub, research: bool
) -> Iterator[Rule]:
    """What concerns no member alone."""
    yield recipe.require
    if not research:
        yield hub.check_draw_keys
    if roster is not None:
        known = {member.name: member for member in roster.members}
        there = {name: _spoken(known[name]) for name in study.members if name in known}
        yield lambda: _check_common(there)


def _line(
    study: Study, recipe: Recipe, roster: Consortium | None, hub: Hub, name: str, research: bool
) -> Line:
    role = study.role_of(name)
    if roster is None:
        return Line(name=name, role=role, rows=0, features=0)
    member = next((one for one in roster.members if one.name == name), None)
    price = price_of(study, recipe, name, research=research)
    if member is None:
        refused = [_not_there(name, roster)]
    else:
        refused = _broken(_rules_of(study, member, hub))
    return Line(
        name=name,
        role=role,
        rows=0,
        features=0,
        refused=tuple(refused),
        mu=price if math.isfinite(price) else None,
        speaks="" if member is None else member.fedrisk,
    )


def _not_there(name: str, roster: Consortium) -> str:
    there = ", ".join(sorted(one.name for one in roster.members)) or "nobody"
    return (
        f"{name} is not in the roster (epoch {roster.epoch}), and in it are {there}; admit it (fedrisk hub invite, "
        "then admit), or correct the study"
    )


def _rules_of(study: Study, member: Member, hub: Hub) -> Iterator[Rule]:
    """What concerns one member of the roster."""
    yield lambda: _check_role(study, member)
    yield lambda: _check_key(member, hub)
    yield lambda: _check_speaks(member)


def _check_role(study: Study, member: Member) -> None:
    asked = study.role_of(member.name)
    if asked != member.role:
        raise ConfigError(
            f"study {study.name} calls {member.name} a {asked}, and it is in the consortium as a {member.role}; "
            "correct the study"
        )


def _check_key(member: Member, hub: Hub) -> None:
    pinned = hub.pins.get(member.name)
    if pinned is None or pinned.hex() != member.identity:
        raise EnvelopeError(
            f"the key that is pinned at the hub for {member.name} is not that of the roster; put the hub's folder back "
            "from its copy, or admit the institution again"
        )


def _check_speaks(member: Member) -> None:
    if common([member.protocols]) is None:
        raise VersionError(of_node(member.name, _spoken(member)))


def _check_common(there: dict[str, Spoken]) -> None:
    """VersionError where each member speaks with the hub, and no protocol is common to all."""
    alone = [name for name, spoken in there.items() if common([spoken.protocols]) is None]
    if not alone and common([spoken.protocols for spoken in there.values()]) is None:
        raise VersionError(of_members(there))


def _spoken(member: Member) -> Spoken:
    return Spoken(protocols=tuple(member.protocols), fedrisk=member.fedrisk, study_format=1)


def _broken(rules: Iterator[Rule]) -> list[str]:
    """What these rules refuse for, in words."""
    found = []
    for rule in rules:
        try:
            rule()
        except FedriskError as error:
            found.append(str(error))
    return found
