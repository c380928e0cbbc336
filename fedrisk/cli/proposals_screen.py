"""What ``fedrisk node proposals`` shows: a line for each proposal, or one of them in full."""

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from fedrisk.cli.output import plain_table
from fedrisk.language import _
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.clients.proposal_view import View
    from fedrisk.study import Study

_STYLES = {"waiting": "bold", "agreed": "green", "used": "green", "refused": "red", "lapsed": "dim"}


def table(name: str, views: "list[View]") -> Table:
    """All proposals, a line each."""
    made = plain_table(
        _("proposals to {name}", name=name),
        "id",
        "state",
        "study",
        "recipe",
        "epsilon",
        "after it",
        "until",
        whole=("id",),
    )
    for view in views:
        content = view.asked.study
        epsilon, after = "", _("cannot be read")
        if view.study is not None:
            over = view.stage in ("refused", "lapsed")
            epsilon = f"{view.study.privacy.epsilon:g}"
            after = "" if over else budget_words(view, short=True)
        made.add_row(
            view.asked.id,
            f"[{_STYLES[view.stage]}]{view.stage}[/]",
            escape(str(content.get("name"))),
            escape(str(content.get("recipe"))),
            epsilon,
            escape(after),
            f"{view.until:%Y-%m-%d}" if view.stage in ("waiting", "agreed") else "",
        )
    return made


def lines(view: "View") -> list[tuple[str, str | None]]:
    """One proposal in full: lines with their style."""
    asked, study = view.asked, view.study
    said: list[tuple[str, str | None]] = [
        (_("proposal {id}: study {name}", id=asked.id, name=asked.study.get("name")), "bold"),
        (f"  {view.words}", _STYLES[view.stage]),
    ]
    if asked.decision is not None and asked.decision.reason:
        said.append((_("  reason, kept here: {reason}", reason=asked.decision.reason), None))
    if view.stage in ("waiting", "agreed"):
        said.append((_("  lapses {until:%Y-%m-%d %H:%M} UTC", until=view.until), None))
    if study is None:
        return [*said, (_("  it cannot be read here: {why}", why=retold(view.why)), "red")]
    return [
        *said,
        *((line, None) for line in _about(view, study)),
        *_rules(view),
        *((line, None) for line in _leaves(view, study)),
        (_("  digest {digest}", digest=asked.digest), "dim"),
    ]


def budget_words(view: "View", *, short: bool = False) -> str:
    """The price at this institution, and what is left after it."""
    from fedrisk.privacy.ledger.plain import left_in_words, studies_in_words

    found = view.assessment
    if found is None:
        return ""
    if view.asked.research_seed is not None:
        return (
            _("no privacy, not charged") if short else _("nothing is charged: a research run has no privacy")
        )
    if not found.mu:
        return _("costs nothing") if short else _("nothing: no records of this institution are computed on")
    if found.code == "budget":
        return _("budget does not suffice")
    room = retold(studies_in_words(found.further))
    if short:
        return room
    return _(
        "epsilon {mu} (mu {mu2:.3f}) at delta {delta:g}; left now {left}, after it {after}, with {room} like it",
        mu=_epsilon(found.mu, found.delta),
        mu2=found.mu,
        delta=found.delta,
        left=retold(left_in_words(found.left, found.delta)),
        after=retold(left_in_words(found.after, found.delta)),
        room=room,
    )


def _epsilon(mu: float, delta: float) -> str:
    from fedrisk.privacy.accounting import epsilon_for

    return f"{epsilon_for(mu, delta):.3g}"


def _about(view: "View", study: "Study") -> list[str]:
    from fedrisk.report.words import word

    shown = study.display_names
    who = [f"{shown[m.name]} ({m.name})" if m.name in shown else m.name for m in study.institutions]
    roles = [word("role", m.role) for m in study.institutions]
    roles = [
        _("{role}, optional", role=role) if m.optional else role
        for role, m in zip(roles, study.institutions, strict=True)
    ]
    found = [
        _(
            "  purpose {purpose}, recipe {recipe}, consent {consent}",
            purpose=study.purpose,
            recipe=study.recipe,
            consent=study.consent or "–",
        ),
        _(
            "  members: {who}",
            who="; ".join((f"{name}, {role}" for name, role in zip(who, roles, strict=True))),
        ),
        *(
            (_("  key authority of the pseudonyms: {authority}", authority=study.authority),)
            if view.keys
            else ()
        ),
        *(f"  {retold(line)}" for line in view.asks),
    ]
    if study.optional:
        found.append(
            _("  an approval covers the study without its optional members too, if it costs no more here")
        )
    if view.asked.research_seed is not None:
        found.append(_("  RESEARCH RUN: no privacy; exact figures leave, for public or simulated data alone"))
    return [*found, _("  price here: {view}", view=budget_words(view))]


def _rules(view: "View") -> list[tuple[str, str | None]]:
    found = view.assessment
    broken = () if found is None else found.broken
    said: list[tuple[str, str | None]] = [
        (_("  breaks: {rule}", rule=retold(rule)), "red") for rule in broken
    ]
    if not broken:
        said.append((_("  meets every rule of the policy"), "green"))
    if view.strangers:
        said.append(
            (
                _(
                    "  not in the accepted roster: {strangers}; look at fedrisk node roster first",
                    strangers=", ".join(view.strangers),
                ),
                "red",
            )
        )
    for name, missing in view.rules:
        covers = (
            _("does not cover it: {missing}", missing="; ".join(map(retold, missing)))
            if missing
            else _("covers it")
        )
        said.append((_("  standing rule {name} {covers}", name=name, covers=covers), None))
    if not view.rules:
        said.append((_("  there is no standing rule (policy.standing), so a person decides"), None))
    return said


def _leaves(view: "View", study: "Study") -> list[str]:
    from fedrisk.report.words import word

    found = [_("  what leaves institutions in such a study:")]
    found += [
        f"    {word('kind', kind)}: {word('protection', protection)}" for kind, protection in view.sends
    ]
    if view.releases:
        names = ", ".join(word("release", name) for name in view.releases)
        found.append(
            _(
                "    noisy sums ({names}): {protection}",
                names=names,
                protection=word("protection", "discrete_gaussian_masked"),
            )
        )
    shown = study.display_names
    who = ", ".join(shown.get(name, name) for name in view.scores_to)
    found.append(_("  scores go to: {who}", who=who or "nobody"))
    return found
