"""What groups of the hold-out release: form, noise by hand, price, and bands that follow from the study alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import compose
from fedrisk.releases.budget import total_mu
from fedrisk.releases.evaluation import planned_evaluation
from fedrisk.releases.groups import asked_groups, band_edges, cut_offs, groups_release, planned_groups
from fedrisk.releases.statistics import Axis
from fedrisk.study import study_from


def study(holders=("tax",), banks=3, **evaluation):
    asked = {"groups": ["sector", "size"], **evaluation}
    return study_from(
        {
            "name": "s",
            "purpose": "credit_scoring",
            "privacy": {"epsilon": 1.0},
            "expected": {"default_rate": 0.06},
            "evaluation": asked if asked["groups"] else {},
            "institutions": [
                *({"name": f"b{i}", "role": "bank"} for i in range(banks)),
                *({"name": n, "role": "holder"} for n in holders),
            ],
        }
    )


def axes(*sizes):
    return [
        Axis(name=f"c{k}", column=f"bank.c{k}", categories=tuple(f"l{i}" for i in range(size)))
        for k, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(("holders", "square"), [((), 2.0), (("tax",), 4.0)])
def test_noise_is_that_of_a_record_in_every_column_at_once(holders, square):
    """By hand: K = 2 columns, one cell of each (sqrt 2) or two (sqrt 4), over the price."""
    asked = study(holders)
    release = groups_release(asked, axes(4, 9))
    sigma = release.blocks[0].sigma["b0"] / 2**release.scale_bits
    assert sigma * release.mu == pytest.approx(math.sqrt(square), rel=1e-3)
    assert [b.shape for b in release.blocks] == [(4, 6, 2), (9, 6, 2)]
    assert release.blocks[0].sigma == release.blocks[1].sigma


@given(st.floats(0.05, 0.95))
def test_evaluation_and_groups_compose_to_the_budget(share):
    asked = study(group_share=share)
    planned = planned_evaluation(asked)
    assert [p.name for p in planned] == ["evaluation", "groups"]
    assert {p.population for p in planned} == {"holdout"}
    assert compose(p.mu for p in planned) == pytest.approx(total_mu(asked))
    assert planned[1].mu == pytest.approx(total_mu(asked) * math.sqrt(share))


def test_the_noise_that_a_plan_states_is_that_of_the_release():
    asked = study()
    (planned,) = planned_groups(asked)
    assert planned.deviation == pytest.approx(groups_release(asked, axes(4, 9)).deviation())


def test_without_groups_the_evaluation_has_the_whole_budget():
    asked = study(groups=[])
    (planned,) = planned_evaluation(asked)
    assert planned.mu == total_mu(asked)


def test_bands_lie_around_the_expected_rate_and_every_cut_off_is_an_edge():
    asked = study(cut_offs=[0.06, 0.1])
    edges = band_edges(asked)
    assert len(edges) == 5
    assert (np.diff(edges) > 0).all()
    assert {0.06, 0.1} <= set(edges.tolist())
    # By hand: 1.5 / 3 = .5 and 1 log-odds below the rate, and 1 above it.
    logits = np.log(edges / (1 - edges)) - math.log(0.06 / 0.94)
    assert logits[[0, 1, 2, 4]] == pytest.approx([-1.0, -0.5, 0.0, 1.0])


def test_without_a_cut_off_twice_the_expected_rate_is_one():
    assert cut_offs(study()) == (0.12,)
    assert 0.12 in band_edges(study()).tolist()


@given(st.sets(st.floats(0.001, 0.999), min_size=1, max_size=5), st.integers(6, 12))
def test_whatever_the_cut_offs_bands_rise_and_hold_them_all(cuts, bands):
    asked = study(cut_offs=sorted(cuts), group_bands=bands)
    edges = band_edges(asked)
    assert len(edges) == bands - 1
    assert (np.diff(edges) >= 0).all()
    assert cuts <= set(edges.tolist())


def test_a_column_of_too_many_levels_is_refused():
    with pytest.raises(ConfigError, match="c0 has 251 levels and 250 are the most"):
        groups_release(study(), axes(251, 2))


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ({"groups": [], "cut_offs": [0.1]}, None),
        ({"groups": ["a", "a"]}, "names a twice"),
        ({"cut_offs": [0.2, 0.1]}, "must rise"),
        ({"cut_offs": [0.1, 0.2, 0.3], "group_bands": 3}, "more than there are cut_offs"),
        ({"release": False}, "needs the evaluation"),
    ],
)
def test_what_contradicts_itself_is_refused(evaluation, said):
    if said is None:
        content = study().model_dump(mode="json") | {"evaluation": {"cut_offs": [0.1]}}
        with pytest.raises(ConfigError, match="evaluation.cut_offs is about groups and none are named"):
            study_from(content)
        return
    with pytest.raises(ConfigError, match=said):
        study(**evaluation)


def test_who_decides_about_the_study_reads_by_which_groups():
    (line,) = asked_groups(study())
    assert "sector, size" in line and "hold-out" in line
    assert asked_groups(study(groups=[])) == ()
