"""``fedrisk policy``: what an institution allows."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from fedrisk.cli.common import AsJson, InstitutionFile, Overrides, StudyFile, look
from fedrisk.cli.output import tell, tell_json

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
        f"{node.name}, study {study.name}: costs epsilon {study.privacy.epsilon:g} (mu {found.mu:.3f}); left now "
        f"{left_in_words(found.left, found.delta)}, after it {left_in_words(found.after, found.delta)} at delta "
        f"{found.delta:g}, with {studies_in_words(found.further)} like it"
    )
    for rule in found.broken:
        tell(f"  refused: {rule}", "red")
    if found.broken:
        raise typer.Exit(1)
    tell("allowed", "green")


@policy_app.command("serving")
def policy_serving(institution: InstitutionFile, as_json: AsJson = False) -> None:
    """What is given once a model serves, to whom, with whose consent; exit code 1 where nobody would be answered."""
    from fedrisk.institution import load_institution
    from fedrisk.serving.consent import thumbprint

    found = load_institution(institution)
    rules = found.policy.serving
    nobody = rules.answers_nobody(datetime.now(UTC).date())
    if as_json:
        content = rules.model_dump(mode="json")
        for register in content["registers"]:
            register["kid"] = thumbprint(register["key"])
        tell_json({"institution": found.name, "serving": content, "answers_nobody": nobody})
    else:
        for line in _serving_lines(found.policy):
            tell(line)
        if nobody:
            tell(nobody, "red")
    if nobody:
        raise typer.Exit(1)


def _serving_lines(policy: "Policy") -> Iterator[str]:
    """The rules of [policy.serving] in words."""
    from fedrisk.serving.consent import thumbprint

    rules = policy.serving
    yield f"purposes: {', '.join(policy.purposes if rules.purposes is None else rules.purposes)}"
    by = (
        "a person approves each"
        if rules.approve == "by_hand"
        else "those that follow from an own study serve by themselves"
    )
    yield f"models: at most {rules.models} for one bank at once; {by}"
    yield f"scores: {rules.per_day:,} a day for one bank, and {rules.per_enterprise} of one enterprise within 30 days"
    yield f"lists: {f'{rules.screening:,} enterprises a month for one bank' if rules.screening else 'none'}"
    ages = {
        "never": "to nobody",
        "several": "where three members or more stand behind it",
        "always": "always",
    }
    yield f"how old data are: told {ages[rules.ages]}"
    yield f"consent: {rules.consent_words}"
    if rules.consent == "token":
        for register in rules.registers:
            until = "" if register.until is None else f", until {register.until}"
            yield f"  {register.name}: key {register.key} (kid {thumbprint(register.key)}){until}"
    for measure in rules.measures:
        yield (
            f"measure {measure.measure}: for {', '.join(measure.banks) or 'nobody'}, {measure.per_month:,} enterprises "
            f"a month, with {measure.least_members} members or more"
        )
