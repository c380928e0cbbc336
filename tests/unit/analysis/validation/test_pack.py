"""A whole validation from rows and from a record: what it stands on, its lights, and its file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.analysis.validation.check import by_p
from fedrisk.analysis.validation.evidence import point_variance
from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE
from fedrisk.analysis.validation.pack import validate
from fedrisk.analysis.validation.released import released_evidence
from fedrisk.analysis.validation.rows import row_evidence
from fedrisk.analysis.validation.rules import ValidationRules
from fedrisk.errors import ConfigError, DataError
from fedrisk.models.validation_rows import CalibrationHistogram, ValidationRows
from support.own_rows import own_rows
from support.validated import calibrated_card, record

RULES = ValidationRules()


@pytest.fixture(scope="module")
def rows():
    """Rows of which the shared probabilities are right, with dates of four years."""
    made = own_rows(4000, seed=2)
    rng = np.random.default_rng(6)
    day = np.datetime64("2020-01-01") + rng.integers(0, 4 * 365, 4000).astype("timedelta64[D]")
    label = (rng.random(4000) < made.probability["scorecard"]).astype(float)
    return replace(made, label=label, day=day, card=calibrated_card())


def more_of(rows, **changes):
    codes = {name: np.unique(p, return_inverse=True)[1] for name, p in rows.points.items()}
    sizes = dict.fromkeys(codes, 5)
    return ValidationRows(codes=codes, sizes=sizes, **changes)


def checks(pack):
    return {c.code: c for c in pack.checks}


def test_a_right_model_on_its_own_rows(rows):
    pack = validate(row_evidence(rows, more_of(rows), DEFAULT_SCALE), RULES)
    found = checks(pack)
    assert all(c.light in ("green", "none") for c in pack.checks if c.group == "calibration")
    assert {c.basis for c in pack.checks} <= {"rows", "rows_and_released", "nothing"}
    assert {c.correction for c in pack.checks if c.basis == "rows"} == {"none"}
    held = rows.held_out
    assert (
        found["portfolio"].customers == held.sum() and found["portfolio"].defaults == rows.label[held].sum()
    )
    assert [p.name for p in pack.periods] == ["2020", "2021", "2022", "2023"]
    assert found["periods"].light == "green" and found["overrides"].rule == "not_recorded"
    assert found["csi"].values["compared"] == len(rows.points) - 1, "a column of one level has no index"
    assert [s.name for s in pack.shifts] == ["score", "grades"]


def test_too_low_probabilities_are_red_and_too_high_ones_are_not(rows):
    low = replace(rows, probability={**rows.probability, "scorecard": rows.probability["scorecard"] * 0.6})
    found = checks(validate(row_evidence(low, more_of(rows), DEFAULT_SCALE), RULES))
    assert found["portfolio"].light == found["in_the_large"].light == found["grades_under"].light == "red"
    high = replace(rows, probability={**rows.probability, "scorecard": rows.probability["scorecard"] * 1.5})
    found = checks(validate(row_evidence(high, more_of(rows), DEFAULT_SCALE), RULES))
    assert found["portfolio"].light == found["grades_under"].light == "green"
    assert found["in_the_large"].light == found["grades_over"].light == "yellow"
    assert found["margin"].light == "green"


def test_recorded_grades_are_counted_and_unknown_ones_named(rows):
    final = np.array(["A" if k % 2 else None for k in range(4000)], object)
    pack = validate(row_evidence(rows, more_of(rows, recorded=final), DEFAULT_SCALE), RULES)
    assert pack.overrides.recorded == 2000 and checks(pack)["overrides"].light == "yellow"
    with pytest.raises(ConfigError, match="g7"):
        row_evidence(rows, more_of(rows, recorded=np.where(final == "A", "g7", None)), DEFAULT_SCALE)


def test_models_that_are_not_there_and_hold_outs_without_defaults(rows):
    with pytest.raises(ConfigError, match="recalibrated"):
        row_evidence(rows, more_of(rows), DEFAULT_SCALE, model="boosted")
    with pytest.raises(DataError, match="no defaults"):
        row_evidence(replace(rows, label=np.zeros(4000)), more_of(rows), DEFAULT_SCALE)
    own = row_evidence(rows, more_of(rows), DEFAULT_SCALE, model="alone")
    assert own.card is None and not validate(own, RULES).calibration_known


def test_the_margin_contains_the_noise_of_the_calibration(rows):
    made, _ = record()
    sums = made.release("calibration")
    histogram = CalibrationHistogram(
        edges=np.array(sums.about["score_edges"]),
        total=sums.blocks[0].total,
        variance=sums.blocks[0].variance,
    )
    known = validate(row_evidence(rows, more_of(rows, calibration=histogram), DEFAULT_SCALE), RULES)
    without = validate(row_evidence(rows, more_of(rows), DEFAULT_SCALE), RULES)
    assert known.calibration_known and not without.calibration_known
    assert all(
        a.noise > 0 and a.estimation > b.estimation
        for a, b in zip(known.margins, without.margins, strict=True)
    )


def test_released_numbers_alone():
    made, card = record()
    pack = validate(released_evidence(made, card), RULES)
    found = checks(pack)
    assert all(
        c.light in ("green", "none") for c in pack.checks if c.group in ("calibration", "discrimination")
    )
    assert found["grades_under"].basis == "released" and found["grades_under"].correction == "convolved"
    assert all(g.jeffreys is None for g in pack.grades) and any(g.binomial is not None for g in pack.grades)
    assert found["psi"].rule == "no_rows" and found["auc_fell"].light == "green"
    assert pack.calibration_known and all(
        m.evaluation > 0 for m, g in zip(pack.margins, pack.grades, strict=True) if g.low
    )
    auc = pack.figures["auc_now"]
    assert auc.noise > 0 and auc.interval(0.95)[0] < auc.value
    with pytest.raises(ConfigError, match="no evaluation"):
        released_evidence(replace(made, releases=made.releases[:1]), card)


def test_the_file_has_a_schema_and_finite_numbers(rows):
    made, card = record()
    for evidence in (row_evidence(rows, more_of(rows), DEFAULT_SCALE), released_evidence(made, card)):
        plain = validate(evidence, RULES).to_dict()
        assert (plain["schema"], plain["version"]) == ("fedrisk.validation", 1)
        again = json.loads(json.dumps(plain, allow_nan=False))
        assert len(again["grades"]) == len(again["scale"]) == len(again["margins"]) == 9
        assert {"code", "light", "rule", "basis", "noise", "p", "level", "customers"} <= set(
            again["checks"][0]
        )


def test_errors_of_points_are_those_of_the_bins_that_customers_are_in(rows):
    evidence = row_evidence(rows, more_of(rows, from_table=True), DEFAULT_SCALE)
    one = replace(evidence, bin_shares={j: np.eye(5)[:1] for j in range(4)})
    square = (np.array([e[0] for e in evidence.card.errors]) * np.log(2) / 20) ** 2
    assert point_variance(one, DEFAULT_SCALE) == pytest.approx(np.full(9, square.sum()))
    spread = replace(evidence, bin_shares={j: np.full((1, 5), 0.2) for j in range(4)})
    assert point_variance(spread, DEFAULT_SCALE) == pytest.approx(np.full(9, square.sum() / 5))


def test_lights_by_p():
    assert [by_p(p, 0.05) for p in (None, 0.051, 0.05, 0.0101, 0.01)] == [
        "none",
        "green",
        "yellow",
        "yellow",
        "red",
    ]
