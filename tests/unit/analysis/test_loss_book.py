"""Sums by segment from a study's figures, and which records are refused."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.analysis.estimates import computed
from fedrisk.analysis.loss_book import check_several, make_book, not_negative
from fedrisk.analysis.loss_rules import LossRules
from fedrisk.errors import ConfigError
from support.lent_books import GRADES, SECTORS, book, record

LAYER = {"shares": {"bank": 1.0}}


def rules(*segments, **more):
    parts = segments or ({"name": "all", "layers": [LAYER]},)
    return LossRules.model_validate(
        {"name": "r", "rest": "bank", "parties": [{"name": "bank"}], "segments": parts, **more}
    )


@pytest.fixture(scope="module")
def exact():
    return book(np.random.default_rng(1))


@pytest.fixture(scope="module")
def noisy(exact):
    return record(exact, np.random.default_rng(2))


def test_cells_add_up_to_segments(exact):
    found = computed(record(exact, np.random.default_rng(2), noise=False))
    farms = {"name": "farms", "where": {"sector": ["farming"], "grade": ["A", "B"]}, "layers": [LAYER]}
    made = rules(farms, {"name": "others", "by": ["grade"], "layers": [LAYER]})
    lent = make_book(found, [made])
    cells = exact["exposure"].reshape(len(SECTORS) + 1, len(GRADES) + 1)
    expected = {"farms": cells[0, :2].sum(), "others, A": cells[1:, 0].sum(), "others, C": cells[:, 2].sum()}
    titles = [part.title for part in lent.parts[0]]
    assert titles == ["farms", "others, (unknown)", "others, A", "others, B", "others, C"]
    for title, yuan in expected.items():
        assert lent.sums["exposure"].figure[titles.index(title)] == pytest.approx(100 * yuan)


def test_noise_of_cells_adds_up(noisy):
    lent = make_book(computed(noisy), [rules()])
    cells = 28
    variance = noisy.release("statistics").block("cells|exposure").variance
    assert lent.sums["exposure"].error[0] == pytest.approx(100 * 1e7 * np.sqrt(cells * variance))


def test_two_sets_of_rules_meet_in_the_finest_groups(noisy):
    one = rules({"name": "s", "by": ["sector"], "layers": [LAYER]})
    two = rules({"name": "a", "where": {"grade": ["A"]}, "layers": [LAYER]}, {"name": "o", "layers": [LAYER]})
    found = computed(noisy)
    both = make_book(found, [one, two])
    assert both.groups == 2 * (len(SECTORS) + 1)
    for number, alone in enumerate((one, two)):
        figures = make_book(found, [alone]).sums["exposure"].figure
        assert both.by_segment(number, both.sums["exposure"].figure) == pytest.approx(figures)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"figures": {"exposure": "lent"}},
            "the study has no measure lent; it has expected_loss, exposure, loans",
        ),
        (
            {"segments": [{"name": "a", "by": ["county"], "layers": [LAYER]}]},
            "segments by county, and the study counts",
        ),
        (
            {"segments": [{"name": "a", "where": {"grade": ["A"]}, "layers": [LAYER]}]},
            "no segment of rules r takes cells of grade B",
        ),
        (
            {"segments": [{"name": "a", "where": {"sector": ["farmin"]}, "layers": [LAYER]}]},
            'names sector "farmin", and the study has no such category; did you mean "farming"?',
        ),
    ],
)
def test_what_the_study_lacks_is_named(noisy, more, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        make_book(computed(noisy), [rules(**more) if "segments" not in more else rules(*more["segments"])])


@pytest.mark.parametrize(
    ("banks", "colluders", "enough"),
    [(2, 1, False), (3, 1, True), (3, 2, False), (4, 2, True), (2, 0, False)],
)
def test_sums_over_few_banks_are_refused(exact, banks, colluders, enough):
    """A bank that takes its own part, or its friends', from the sum must not be left with one other bank's."""
    names = ("alfa", "beta", "gama", "delta")[:banks]
    made = record(exact, np.random.default_rng(3), banks=names)
    made = replace(made, study={**made.study, "privacy": {**made.study["privacy"], "colluders": colluders}})
    if enough:
        check_several(made, rules())
        return
    with pytest.raises(ConfigError, match=f"measure exposure is a sum over {banks} institution"):
        check_several(made, rules())


def test_a_bank_that_was_left_out_is_not_counted(exact):
    made = record(exact, np.random.default_rng(3), banks=("alfa", "beta", "gama"))
    released = made.release("statistics")
    made = made.with_release(replace(released, spends=released.spends[:2]))
    with pytest.raises(ConfigError, match="over 2 institution"):
        check_several(made, rules())


def test_cells_by_bank_are_refused(exact):
    made = record(exact, np.random.default_rng(3), banks=("farming", "retail", "gama"))
    with pytest.raises(ConfigError, match="cells by sector are single institutions"):
        check_several(made, rules())


def test_a_record_of_another_study_is_refused(exact):
    made = replace(record(exact, np.random.default_rng(3)), releases=())
    with pytest.raises(ConfigError, match="holds no statistics"):
        check_several(made, rules())


def test_sums_below_zero_do_not_lift_the_total():
    figures, errors = np.array([[10.0, -3.0, 5.0], [1.0, -3.0, 1.0]]), np.array([1.0, 1.0, 2.0])
    found = not_negative(figures, errors)
    assert (found >= 0).all()
    assert found.sum(axis=1) == pytest.approx([12.0, 0.0])
    assert found[0, 1] == 0.0
    # What noise has more of moves more: 3 in all, as variances 1 and 4.
    assert found[0] == pytest.approx([10 - 0.6, 0.0, 5 - 2.4])


def test_the_nearest_figures_add_up_and_are_nearest():
    """Against figures that were moved a little more: none that adds up and is not negative lies nearer."""
    rng = np.random.default_rng(8)
    errors = rng.uniform(0.5, 3.0, 6)
    for _ in range(200):
        figures = rng.normal(1.0, 3.0, 6)
        found = not_negative(figures, errors)
        assert found.sum() == pytest.approx(max(figures.sum(), 0.0), abs=1e-9)
        assert (found >= 0).all()
        if figures.sum() <= 0:
            continue
        one, other = rng.choice(6, 2, replace=False)
        step = min(0.01, found[one])
        moved = found.copy()
        moved[one] -= step
        moved[other] += step
        near, far = (((f - figures) ** 2 / errors**2).sum() for f in (found, moved))
        assert near <= far + 1e-9
