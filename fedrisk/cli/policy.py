"""``fedrisk policy``: what an institution allows."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from fedrisk.cli.common import AsJson, InstitutionFile, Overrides, StudyFile, look
from fedrisk.cli.output import tell, tell_json
from fedrisk.language import _, either, listed
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.privacy.policy import Policy

policy_app = typer.Typer(help="The policy: what this institution allows.", no_args_is_help=True)


@policy_app.command("check")
def policy_check(
    institution: InstitutionFile,
    study_file: StudyFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Would this study be allowed here, what would it cost, and what would be left; exit code 1 where refused."""
    from fedrisk.clients.assessment import assess
    from fedrisk.privacy.ledger.plain import left_in_words, studies_in_words
    from fedrisk.recipes import load_study, recipe_of

    node, study = look(institution), load_study(study_file, overrides or [])
    found = assess(node, study, recipe_of(study))
    if as_json:
        figures = {
            "mu": found.mu,
            "mu_left": found.left,
            "mu_left_after": found.after,
            "delta": found.delta,
            "further_studies": found.further,
        }
        tell_json({"institution": node.name, "study": study.name, "refused": found.broken, **figures})
        if found.broken:
            raise typer.Exit(1)
        return
    tell(
        _(
            "{name}, study {name2}: costs epsilon {epsilon:g} (mu {mu:.3f}); left now {left}, after it {after} at "
            "delta {delta:g}, with {further} like it",
            name=node.name,
            name2=study.name,
            epsilon=study.privacy.epsilon,
            mu=found.mu,
            left=retold(left_in_words(found.left, found.delta)),
            after=retold(left_in_words(found.after, found.delta)),
            delta=found.delta,
            further=retold(studies_in_words(found.further)),
        )
    )
    for rule in found.broken:
        tell(_("  refused: {rule}", rule=retold(rule)), "red")
    if found.broken:
        raise typer.Exit(1)
    tell("allowed", "green")


@policy_app.command("serving")
def policy_serving(institution: InstitutionFile, as_json: AsJson = False) -> None:
    """What is given once a model serves, to whom, with whose consent; exit code 1 where nobody would be answered."""
    from fedrisk.clients.agents import Listed, not_agents
    from fedrisk.clients.node import Node
    from fedrisk.serving.consent_token import thumbprint

    node = Node.load(institution)
    found = node.institution
    rules = found.policy.serving
    nobody = rules.answers_nobody(datetime.now(UTC).date())
    no_agents = not_agents(rules.agents, Listed.of(node)) if rules.agents else ""
    if as_json:
        content = rules.model_dump(mode="json")
        for register in content["registers"]:
            register["kid"] = thumbprint(register["key"])
        said = {"serving": content, "answers_nobody": nobody, "no_agents": no_agents}
        tell_json({"institution": found.name, **said})
    else:
        for line in _serving_lines(found.policy):
            tell(line)
        if no_agents:
            tell(retold(no_agents), "red")
        if nobody:
            tell(nobody, "red")
    if nobody:
        raise typer.Exit(1)


def _serving_lines(policy: "Policy") -> Iterator[str]:
    """The rules of [policy.serving] in words."""
    from fedrisk.serving.consent_token import thumbprint

    rules = policy.serving
    yield _(
        "purposes: {purposes}",
        purposes=", ".join(policy.purposes if rules.purposes is None else rules.purposes),
    )
    by = (
        _("a person approves each")
        if rules.approve == "by_hand"
        else _("those that follow from an own study serve by themselves")
    )
    yield _("models: at most {models} for one bank at once; {by}", models=rules.models, by=by)
    yield _(
        "scores: {per_day:,} a day for one bank, and {per_enterprise} of one enterprise within 30 days",
        per_day=rules.per_day,
        per_enterprise=rules.per_enterprise,
    )
    yield _(
        "lists: {screening}",
        screening=_("{screening:,} enterprises a month for one bank", screening=rules.screening)
        if rules.screening
        else "none",
    )
    if rules.monitoring:
        consent = rules.words_of(rules.monitoring_consent or rules.consent)
        yield _(
            "loans that run (purpose portfolio_monitoring): {monitoring:,} scores a month for one bank; consent: "
            "{consent}",
            monitoring=rules.monitoring,
            consent=retold(consent),
        )
    months = rules.index_months
    yield either("index: {count} month in an answer", "index: {count} months in an answer", months)
    if rules.agents:
        yield _("agents of enterprises, with a token of each: {agents}", agents=listed(rules.agents))
    ages = {
        "never": _("to nobody"),
        "several": _("where three members or more stand behind it"),
        "always": "always",
    }
    yield _("how old data are: told {ages}", ages=ages[rules.ages])
    yield _("consent: {consent_words}", consent_words=retold(rules.consent_words))
    if rules.consent == "token":
        for register in rules.registers:
            until = "" if register.until is None else _(", until {until}", until=register.until)
            yield _(
                "  {name}: key {key} (kid {key2}){until}",
                name=register.name,
                key=register.key,
                key2=thumbprint(register.key),
                until=until,
            )
    for measure in rules.measures:
        yield (
            _(
                "measure {measure}: for {banks}, {per_month:,} enterprises a month, with {least_members} members "
                "or more",
                measure=measure.measure,
                banks=", ".join(measure.banks) or "nobody",
                per_month=measure.per_month,
                least_members=measure.least_members,
            )
        )
