"""``fedrisk policy``: what an institution allows."""

import typer

from fedrisk.cli.common import AsJson, InstitutionFile, Overrides, StudyFile, look
from fedrisk.cli.output import tell, tell_json

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
