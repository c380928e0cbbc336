"""Whole studies with too few positives for their columns, and too few rows for private edges."""

import pytest

from fedrisk.attacks.lies import retell, spends
from fedrisk.data.features import Feature
from fedrisk.engine.check import check_study
from fedrisk.errors import PeerError
from fedrisk.models.binning import even_edges
from fedrisk.recipes.scorecard.columns import SHARES
from fedrisk.releases.budget import total_mu
from fedrisk.report.html import render
from fedrisk.report.words import sentence

pytestmark = pytest.mark.study

SMALL = {"privacy": {"epsilon": 0.3}, "expected": {"default_rate": 0.18}}


def declared(kit):
    """The example columns, three of them declared weak: one of the bank, two of the power utility."""
    weak = {"grade", "usage", "cuts"}
    return {
        role: [{**c, "strength": "weak" if c["name"] in weak else "strong"} for c in columns]
        for role, columns in kit.COLUMNS.items()
    }


def build(kit, folder, enterprises=900):
    return kit.build(
        folder, ("alfa",), kit.HOLDERS, enterprises=enterprises, columns=declared(kit), study=SMALL
    )


@pytest.fixture(scope="module")
def small(kit, scratch):
    """Eight columns of which five can be counted, and a few hundred rows beside noise of thousands."""
    consortium = build(kit, scratch())
    return consortium, consortium.run()


def test_weak_columns_are_left_out_but_one_of_each_institution(small):
    _, run = small
    names = ["bank.debt", "bank.late", "tax.sales", "tax.growth", "tax.audited", "power.usage"]
    assert [f.name for f in run.plan.features] == names
    columns = [b.feature.name for b in run.results.card.bins if b.feature.kind != "known"]
    assert columns == names
    assert run.sizes["bank"] and len(run.sizes["power"]) == 1


def test_edges_are_even_on_the_declared_grid_and_none_are_released(small):
    consortium, run = small
    debt = next(b for b in run.results.card.bins if b.feature.name == "bank.debt")
    grid = Feature(institution="bank", column="debt", low=0, high=1_000_000, grid="log")
    assert debt.edges == even_edges(grid, 6)
    released = spends(consortium)
    assert set(released) == {"alfa", "tax", "power"}
    assert not any("edges" in names for names in released.values())


def test_the_budget_is_the_same_and_the_counts_get_the_share_of_the_edges(small):
    _, run = small
    for node in run.nodes.values():
        assert node.ledger.spent() == pytest.approx(total_mu(run.study), rel=1e-9)
    assert run.plan.mu("counts") == pytest.approx(
        total_mu(run.study) * (SHARES["counts"] / (1 - SHARES["edges"])) ** 0.5
    )


def test_check_results_and_report_say_what_was_left_out_and_what_helps(small):
    consortium, run = small
    before = [f for f in check_study(run.study, consortium.paths).expectations if f.code in CODES]
    assert [f.code for f in before] == CODES
    assert list(run.results.findings) == before
    left_out, too_many, even = (sentence(f) for f in before)
    assert "bank.grade, power.cuts" in left_out and "epsilon" in left_out
    assert "6 columns are counted" in too_many and "can bear 5" in too_many
    assert "bank.debt, tax.sales, tax.growth, power.usage" in even and "State bins" in even
    page = render(run.results)
    assert all(text in page for text in (left_out, too_many, even))
    assert [f["code"] for f in run.results.to_dict()["findings"]] == CODES


CODES = ["columns_left_out", "columns_too_many", "even_edges"]
"""Of the three weak columns one stays, the power utility's last: so there is one column too many."""


def test_every_enterprise_gets_a_score_of_the_columns_that_are_left(small):
    consortium, run = small
    scores = run.scores("alfa")
    assert len(scores) == len(consortium.tables["alfa"]) and scores["score"].notna().all()


def test_a_hub_that_counts_a_column_which_was_left_out_is_refused(kit, tmp_path):
    """Its columns, bins and noise would be others than the members': none masks a matrix for it."""
    consortium = build(kit, tmp_path)

    def lie(run, step):
        def more(content):
            content["bins"].append({**content["bins"][-1], "column": "cuts"})

        if step.action == "mask":
            retell(step, "bins", more)

    with pytest.raises(PeerError, match="protocol"):
        consortium.run(change=lie)
    assert not any("counts" in names for names in spends(consortium).values())


def test_a_study_that_can_bear_all_says_nothing(kit, tmp_path):
    consortium = kit.build(tmp_path, enterprises=2500, columns=declared(kit))
    assert not consortium.run().results.findings
