"""``fedrisk policy``: what an institution allows."""

import typer

from fedrisk.cli.output import InstitutionFile, Overrides, StudyFile, look, out

policy_app = typer.Typer(help="The policy: what this institution allows.", no_args_is_help=True)


@policy_app.command("check")
def policy_check(
    institution: InstitutionFile,
    study_file: StudyFile,
    overrides: Overrides = None,
) -> None:
    """Would this study be allowed here, what would it cost, and what would be left; exit code 1 where refused."""
    from fedrisk.recipes import load_study, recipe_of

    node, study = look(institution), load_study(study_file, overrides or [])
    study.role_of(node.name)
    broken = node.institution.policy.broken(study, institution=node.name, research=False)
    mu = recipe_of(study).plan(study, ()).price[node.name]
    left = node.ledger.left(study=study.name, purpose=study.purpose)
    if mu > left * (1 + 1e-9):
        broken.append(f"it asks mu {mu:.3f} and {left:.3f} is left; see fedrisk budget show")
    after = max(left**2 - mu**2, 0.0) ** 0.5
    delta = study.privacy.delta
    out.print(
        f"{node.name}, study {study.name}: costs epsilon {study.privacy.epsilon:g} (mu {mu:.3f}); left now "
        f"{_epsilon(left, delta)}, after it {_epsilon(after, delta)} at delta {delta:g}",
        highlight=False,
        soft_wrap=True,
    )
    for rule in broken:
        out.print(f"  refused: {rule}", style="red", markup=False, highlight=False, soft_wrap=True)
    if broken:
        raise typer.Exit(1)
    out.print("allowed", style="green")


def _epsilon(mu: float, delta: float) -> str:
    from fedrisk.privacy.accounting import epsilon_for

    return f"epsilon {epsilon_for(mu, delta):.2f}" if mu > 0 else "nothing"
