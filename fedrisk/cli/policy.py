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
    import math

    from fedrisk.privacy.ledger.plain import ROUNDING, left_in_words, studies_in_words, studies_left
    from fedrisk.recipes import load_study, recipe_of

    node, study = look(institution), load_study(study_file, overrides or [])
    study.role_of(node.name)
    broken = node.institution.policy.broken(study, institution=node.name, research=False)
    mu, delta = recipe_of(study).plan(study, ()).price[node.name], study.privacy.delta
    ledger = node.ledger
    room = ledger.left(study=study.name, purpose=study.purpose)
    if mu > room * (1 + ROUNDING):
        broken.append(f"it asks mu {mu:.3f} and {room:.3f} is left; see fedrisk budget show")
    after = math.sqrt(max(0.0, (room - mu) * (room + mu))) if mu < math.inf else 0.0
    further = studies_left(0.0, after, mu) if mu < math.inf else 0
    if as_json:
        figures = {
            "mu": mu,
            "mu_left": room,
            "mu_left_after": after,
            "delta": delta,
            "further_studies": further,
        }
        tell_json({"institution": node.name, "study": study.name, "refused": broken, **figures})
        if broken:
            raise typer.Exit(1)
        return
    tell(
        f"{node.name}, study {study.name}: costs epsilon {study.privacy.epsilon:g} (mu {mu:.3f}); left now "
        f"{left_in_words(room, delta)}, after it {left_in_words(after, delta)} at delta {delta:g}, with "
        f"{studies_in_words(further)} like it"
    )
    for rule in broken:
        tell(f"  refused: {rule}", "red")
    if broken:
        raise typer.Exit(1)
    tell("allowed", "green")
