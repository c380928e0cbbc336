"""A further recipe, as CONTRIBUTING describes it: a folder of its own, here one file, and one name in ``RECIPES``.

The toy counts each institution's rows, noisily, and nothing else of fedrisk knows it: policy, budget, ledger, noise,
masks, trail, record, results and report come with the outlet and the shared code.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from fedrisk import recipes
from fedrisk.clients import outlet
from fedrisk.clients.app import make_app
from fedrisk.clients.describe import allowed_features, described
from fedrisk.clients.row_order import all_training_rows, take_order
from fedrisk.engine.in_process import load_nodes, register
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import PeerError
from fedrisk.findings import Finding
from fedrisk.protocol.actions import Action
from fedrisk.protocol.order import ORDER, ROWS
from fedrisk.protocol.payload import Payload
from fedrisk.recipe import Brought, Recipe, Section
from fedrisk.releases.budget import ring_sigma, sigmas, total_mu
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Block, Planned, Release
from fedrisk.report.html import render
from fedrisk.server.hub import Hub
from fedrisk.server.noisy_sums import NoisySums, send_order
from fedrisk.server.outcome import HubSession, Outcome
from fedrisk.server.run import run_study
from fedrisk.study import Study
from fedrisk.study_sections import Settings

BITS = 8


class ToySettings(Settings):
    """scale: what a row counts."""

    scale: int = 1


def make_plan(study: Study, features: Sequence[Any], rows: int | None = None) -> Plan:
    """One release of sensitivity ``scale``: rows of all institutions together."""
    mu, scale = total_mu(study), ToySettings.of(study).scale
    sigma = ring_sigma(scale * 2.0**BITS, mu)
    block = Block(
        name="rows", left="bank", right="bank", shape=(1,), sigma=sigmas(study, sigma, *study.roles)
    )
    release = Release(
        name="rows", population="training", mu=mu, ring="uint32", scale_bits=BITS, blocks=(block,)
    )
    return Plan(
        planned=(Planned.of(release),),
        price=dict.fromkeys(study.members, mu),
        features=tuple(features),
    )


def count(node: Any, request: Payload) -> Payload:
    """Rows of this institution, noisy and masked."""
    attempt = node.attempt(request)
    rows = all_training_rows(attempt)
    exact = np.array([int((rows >= 0).sum()) << BITS]) * ToySettings.of(attempt.study).scale
    release = attempt.plan.release("rows")
    return outlet.release(attempt, release, request, lambda block, noise: noise.add(block, exact))


def order(node: Any, request: Payload) -> Payload:
    """Takes the order of rows."""
    take_order(node.attempt(request), request, make_plan)
    return Payload()


def fit(session: HubSession, plan: Plan) -> Outcome:
    """Asks once and adds up."""
    sums = NoisySums(session.exchange, session.roster)
    send_order(sums)
    members = [*session.roster.study.banks, *session.roster.study.holders]
    answers = session.exchange("count", "noisy rows", dict.fromkeys(members, Payload()))
    sums.total(plan.release("rows"), answers)
    return Outcome(record=sums.record)


def summary(outcome: Outcome) -> tuple[Section, ...]:
    total = float(outcome.record.release("rows").block("rows").total[0])
    return (Section(code="rows", columns=("what", "rows"), rows=(("all institutions", round(total)),)),)


def expect(study: Study, plan: Plan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    return (Finding("rows_expected", {"rows": sum(rows.values())}),)


RECIPE = Recipe(
    name="rows",
    settings=ToySettings,
    members=lambda study, features: None,
    plan=make_plan,
    expect=expect,
    brings=lambda node, study, seed: Brought(features=allowed_features(node, described(node))),
    hub=fit,
    actions=lambda: (
        Action(name="edges", serve=order, form=ROWS, tells={"order": ORDER}),
        Action(name="count", serve=count),
    ),
    summary=summary,
)


@pytest.fixture
def toy(monkeypatch, write_consortium):
    """A consortium whose study is of the toy recipe; the one line in RECIPES is patched in."""
    monkeypatch.setattr(recipes, "RECIPES", (*recipes.RECIPES, RECIPE))
    consortium = write_consortium()
    for file in consortium.paths.values():
        file.write_text(file.read_text().replace("[policy]", '[policy]\nrecipes = ["scorecard", "rows"]'))
    text = consortium.study_file.read_text()
    consortium.study_file.write_text('recipe = "rows"\n' + text + "\n[rows]\nscale = 1\n")
    return consortium


def run(consortium, **how):
    study = recipes.load_study(consortium.study_file)
    nodes, hub = load_nodes(consortium.paths), Hub.default()
    register(nodes, hub)
    grid = InProcessGrid(make_app(), consortium.paths)
    return run_study(grid, study, RECIPE, hub, engine="in-process", **how), nodes


def test_a_toy_recipe_runs_through_outlet_ledger_trail_record_and_report(toy):
    results, nodes = run(toy)
    released = results.record.release("rows").block("rows")
    exact = sum(results.rows.training.values())
    # Holders know four in five of a bank's customers. Twelve deviations: false alarms below 1e-31.
    assert exact * 2.0 < released.total[0] < exact * 3.2
    assert 0 < math.sqrt(released.variance) < 10
    for name, node in nodes.items():
        (spend,) = [s for s in results.spends if s["institution"] == name]
        assert node.ledger.spent() == pytest.approx(spend["mu"])
        assert any(e.kind == "noisy_sums.rows" for e in node.trail.entries(attempt=results.attempt))
    results.record.verify()
    assert "all institutions" in render(results)


def test_its_settings_are_checked_and_part_of_the_study(toy):
    study = recipes.load_study(toy.study_file)
    assert study.settings == {"scale": 1}
    toy.study_file.write_text(toy.study_file.read_text().replace("scale = 1", "scales = 1"))
    with pytest.raises(recipes.ConfigError, match="scales"):
        recipes.load_study(toy.study_file)


def test_a_policy_that_does_not_name_it_refuses(toy):
    file = toy.paths["tax"]
    file.write_text(file.read_text().replace('recipes = ["scorecard", "rows"]\n', ""))
    with pytest.raises(PeerError, match="no agreement from tax"):
        run(toy)
