"""Measures: what each institution gives by hand, that their sum is the plain sum, and that a ratio opens nothing else."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedrisk.errors import ConfigError, ProtocolError, StoreError
from fedrisk.secure.ring import to_signed
from fedrisk.serving.current import Found
from fedrisk.serving.measures import Measure, check_rows, columns_of_measure, load_measure, measure_of, opened

EXAMPLES = Path(__file__).parents[3] / "configs" / "measures"
TODAY = date(2026, 11, 26)
BANKS = ("alfa", "beta", "gamma", "delta")
EXPOSURE = {
    "name": "exposure_elsewhere",
    "kind": "sum",
    "meaning": "credit in use at other banks",
    "unit": "yuan",
    "purpose": "credit_scoring",
    "banks": BANKS,
    "high": 1e8,
    "step": 1e4,
    "terms": [{"member": b, "column": "exposure"} for b in BANKS],
}
CARBON = {
    "name": "carbon",
    "kind": "ratio",
    "meaning": "tonnes for each yuan",
    "purpose": "credit_scoring",
    "banks": ("alfa",),
    "step": 0.01,
    "terms": [
        {"member": "environment", "column": "tonnes", "low": 1.0, "high": 1e7},
        {"member": "tax", "column": "output", "low": 1e4, "high": 1e10},
    ],
}


def found(column, values, days=None):
    """Values by enterprise, None where it is unknown."""
    known = np.array([v is not None for v in values], bool)
    numbers = np.array([np.nan if v is None else v for v in values], np.float64)
    day = np.array(days or [str(TODAY)] * len(values), "datetime64[D]")
    return Found(pd.DataFrame({column: numbers}), known, day, np.zeros(len(values), bool))


def measure(content=EXPOSURE, **changes):
    return Measure.model_validate({**content, **changes})


def asked(m, bank, tables, rows=None):
    """What the bank reads: parts of all who answer it, added up as masks leave them."""
    n = len(next(iter(tables.values())).frame)
    rows = np.arange(n) if rows is None else np.array(rows)
    sums = {"sum": np.zeros(rows[-1] + 1, np.uint32), "known": np.zeros(rows[-1] + 1, np.uint32)}
    for member in m.responders(bank):
        given = columns_of_measure(m.part(member, "bank"), tables[member], today=TODAY)
        for name, total in sums.items():
            np.add.at(total, rows, given[name].astype(np.uint32))
    return opened(m, bank, {name: to_signed(total).astype(np.int64) for name, total in sums.items()})


def test_a_sum_by_hand():
    m = measure()
    tables = {
        "beta": found("exposure", [1_234_567.0, None, 0.0, np.nan]),
        "gamma": found("exposure", [4_999.0, 2e9, 0.0, -5.0]),
        "delta": found("exposure", [500_000.0, 30_000.0, None, 10_000.0]),
    }
    values, known = asked(m, "alfa", tables)
    # Rounded to 10,000; 2e9 is clipped to 1e8; what is below 0 counts as 0, and as no credit.
    assert values.tolist() == [1_730_000.0, 100_030_000.0, 0.0, 10_000.0]
    assert known.tolist() == [3, 2, 0, 1]


def test_old_rows_are_unknown():
    m = measure(fresh_days=92)
    old = found("exposure", [5e5, 5e5, 5e5], ["2026-08-25", "2026-08-26", "NaT"])
    columns = columns_of_measure(m.part("beta", "bank"), old, today=TODAY)
    assert columns["sum"].tolist() == [0, 50, 0]
    assert columns["known"].tolist() == [0, 1, 0]


def test_a_count_by_hand():
    count = {k: v for k, v in EXPOSURE.items() if k not in ("high", "step")}
    m = measure(count, kind="count")
    tables = {
        "alfa": found("exposure", [1.0, None, 7e12]),
        "beta": found("exposure", [1e-9, 0.0, 3.0]),
        "gamma": found("exposure", [np.nan, -1.0, 4.0]),
    }
    values, known = asked(m, "delta", tables)
    assert values.tolist() == known.tolist() == [2, 0, 3]


def test_related_enterprises_are_one_row():
    m = measure(kind="related", most_related=3)
    tables = {
        "beta": found("exposure", [1e6, 2e6, None, 5e6]),
        "gamma": found("exposure", [None, 3e6, None, 1e6]),
        "delta": found("exposure", [1e6, None, 0.0, 1e6]),
    }
    values, known = asked(m, "alfa", tables, [0, 0, 0, 1])
    assert values.tolist() == [7e6, 7e6]
    assert known.tolist() == [4, 3]
    check_rows(m, [0, 0, 0, 1])
    check_rows(m, [])
    with pytest.raises(ProtocolError, match="at most 3 enterprises"):
        check_rows(m, [0, 0, 0, 0])
    with pytest.raises(ProtocolError, match="at most 1 enterprises"):
        check_rows(measure(), [0, 0, 1, 2])


def test_a_ratio_opens_where_both_know():
    m = measure(CARBON)
    tables = {
        "environment": found("tonnes", [1000.0, 1000.0, None, None, 0.0]),
        "tax": found("output", [5e6, None, 5e6, None, 5e6]),
    }
    values, known = asked(m, "alfa", tables)
    assert known.tolist() == [2, 0, 0, 0, 2]
    assert values[0] == pytest.approx(1000 / 5e6, rel=0.01)
    # No emissions are the least of the range, not nothing.
    assert values[4] == pytest.approx(1 / 5e6, rel=0.01)
    assert np.isnan(values[1:4]).all()


def test_a_ratio_with_an_unknown_side_is_noise_and_says_not_who_knows():
    """Both columns of one unknown side are uniform: a hundred thousand draws fill all sixteenths of the ring alike."""
    m, n = measure(CARBON), 100_000
    known = columns_of_measure(m.part("environment", "holder"), found("tonnes", [1e3] * n), today=TODAY)
    gone = columns_of_measure(m.part("tax", "holder"), found("output", [None] * n), today=TODAY)
    for name in ("sum", "known"):
        counts = np.bincount((known[name] + gone[name]).astype(np.uint32) >> 28, minlength=16)
        expected = n / 16
        # Chi square with 15 degrees of freedom: beyond 60 once in three million runs.
        assert ((counts - expected) ** 2 / expected).sum() < 60


def test_an_index_by_hand():
    m = measure(
        {k: v for k, v in CARBON.items() if k != "terms"},
        kind="index",
        clip=2.0,
        step=0.01,
        terms=[
            {"member": "tax", "column": "growth", "weight": 1.0, "mean": 0.1, "deviation": 0.2},
            {"member": "tax", "column": "gaps", "weight": -0.5, "mean": 1.0, "deviation": 1.0},
            {"member": "power", "column": "load", "weight": 0.5, "mean": 0.0, "deviation": 1.0},
        ],
    )
    tax = Found(
        pd.DataFrame({"growth": [0.3, 9.0, np.nan], "gaps": [1.0, 0.0, 3.0]}),
        np.array([True, True, True]),
        np.array([str(TODAY)] * 3, "datetime64[D]"),
        np.zeros(3, bool),
    )
    power = found("load", [1.0, None, -1.0])
    values, known = asked(m, "alfa", {"tax": tax, "power": power})
    assert values.tolist() == [1.5, 2.5, -1.5]
    # Of the third the tax office has one column of two.
    assert known.tolist() == [2, 1, 1]


Values = st.lists(
    st.one_of(st.none(), st.just(np.nan), st.floats(-1e15, 1e15), st.just(np.inf)), min_size=3, max_size=3
)


@given(Values, Values, Values)
def test_the_sum_is_the_plain_sum_within_rounding(beta, gamma, delta):
    m = measure()
    columns = {"beta": beta, "gamma": gamma, "delta": delta}
    tables = {name: found("exposure", values) for name, values in columns.items()}
    values, known = asked(m, "alfa", tables)
    plain, lenders = np.zeros(3), np.zeros(3, int)
    for column in columns.values():
        for k, v in enumerate(column):
            if v is not None and np.isfinite(v):
                plain[k] += min(max(v, 0.0), 1e8)
                lenders[k] += v > 0
    assert np.abs(values - plain).max() <= 3 * 1e4 / 2 + 1e-6
    assert known.tolist() == lenders.tolist()


def test_bits_are_those_of_range_and_step():
    m = measure()
    assert m.steps_of("beta") == (0, 10_000)
    assert m.bits_of("beta") == pytest.approx(np.log2(10_001))
    assert m.bits("alfa") == pytest.approx(np.log2(30_001) + 2)
    assert measure(CARBON).steps_of("tax") == (-2303, -921)


def test_a_sum_out_of_its_range_has_no_value():
    sums = {"sum": np.array([30_000, 30_001, -1]), "known": np.array([3, 3, 0])}
    values, _ = opened(measure(), "alfa", sums)
    assert values[0] == 3e8
    assert np.isnan(values[1:]).all()


def test_the_id_is_that_of_the_content():
    one, other = measure(), measure(step=2e4)
    assert one.id == measure().id != other.id
    part = one.part("beta", "bank")
    assert measure_of(part) == one
    assert measure_of(type(part).from_bytes(part.to_bytes())) == one
    for wrong in ({"model": other.id}, {"measure": other.model_dump(mode="json")}, {"kind": "scorecard"}):
        with pytest.raises(StoreError, match="damaged"):
            measure_of(part.model_copy(update=wrong))


@pytest.mark.parametrize(
    ("content", "changes", "said"),
    [
        (EXPOSURE, {"step": None}, "kind sum needs step"),
        (EXPOSURE, {"clip": 3.0}, "kind sum has no clip"),
        (EXPOSURE, {"step": 1.0}, "more than 65536 numbers"),
        (EXPOSURE, {"step": 1e9}, "says nothing"),
        (EXPOSURE, {"terms": EXPOSURE["terms"][:2]}, "a single institution answers"),
        (EXPOSURE, {"terms": [*EXPOSURE["terms"], EXPOSURE["terms"][0]]}, "named by two terms"),
        (EXPOSURE, {"kind": "related"}, "needs most_related"),
        (CARBON, {"banks": ("alfa", "tax")}, "a single institution answers"),
        (CARBON, {"high": 1.0}, "has no high"),
        (
            CARBON,
            {"terms": [{**CARBON["terms"][0], "high": 0.5}, CARBON["terms"][1]]},
            "low must be below high",
        ),
        (
            CARBON,
            {"terms": [{**CARBON["terms"][0], "high": 1.5}, CARBON["terms"][1]]},
            "nearly be its number",
        ),
        (CARBON, {"terms": [{**CARBON["terms"][0], "weight": 1.0}, CARBON["terms"][1]]}, "has no weight"),
    ],
)
def test_rules_of_a_measure(content, changes, said):
    with pytest.raises(ValidationError, match=said):
        measure(content, **changes)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.toml")), ids=lambda f: f.stem)
def test_the_examples_are_measures(file):
    m = load_measure(file)
    assert m.name == file.stem
    assert min(m.bits(b) for b in m.banks) > 1


def test_a_file_is_read_and_its_broken_rules_are_named(tmp_path):
    file = tmp_path / "exposure.toml"
    head = (
        'name = "exposure"\nkind = "sum"\nmeaning = "credit"\npurpose = "credit_scoring"\nbanks = ["alfa"]\n'
    )
    terms = "".join(f'\n[[terms]]\nmember = "{b}"\ncolumn = "exposure"\n' for b in BANKS)
    file.write_text(f"{head}high = 1e8\nstep = 1e4\n{terms}")
    assert load_measure(file).members == tuple(sorted(BANKS))
    file.write_text(f"{head}high = 1e8\n{terms}")
    with pytest.raises(ConfigError, match=r"(?s)exposure.toml.*needs step"):
        load_measure(file)
