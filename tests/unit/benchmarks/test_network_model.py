"""The model of a study over lines, on measurements whose numbers are made by the very rules."""

import copy

import pytest

from benchmarks.network.model import (
    PARTIES,
    SHAPE,
    as_table,
    fit,
    fitted,
    gram,
    megabytes,
    numbered,
    predicted,
    shape_size,
)

UP = {
    "describe": (4e3, 30, 0, 0),
    "blind": (0, 0, 32, 0),
    "mask": (1e3, 25, 0, 30),
    "mask 2": (1e3, 5, 0, 30),
}
"""Bytes to the hub: at all, a column, a row, and a trained row and column."""
WORK = {"hub": (2, 0.01, 1e-4, 1e-6), "bank": (1, 0, 2e-4, 3e-6), "holder": (1, 0, 1e-4, 2e-6)}
TRIPS, SHARE, OTHER = 6.0, 1.25, 20.0
LOOKING = {"hub": 0.05, "bank": 0.01, "holder": 0.0}
"""Processor seconds a second of the study."""


HELD, PRODUCTS, CARRYING = (16_000, 60), {"hub": 10.0, "bank": 20.0, "holder": 70.0}, 0.05


def made(rows, features, recounted, megabits=0.0, milliseconds=0.0):
    """A study that keeps to the rules above; what goes from the hub is half of what comes."""
    training = rows * 7 // 10

    def by(rule, columns):
        a, b, c, d = rule
        return a + b * columns + c * rows + d * training * columns

    exchanges = []
    for name, rule in UP.items():
        up = by(rule, recounted if name == "mask 2" else features)
        exchanges.append({"action": name.split()[0], "seconds": 1.0, "up": up, "down": up / 2})
    line = TRIPS * len(exchanges) * milliseconds / 1000
    if megabits:
        line += SHARE * sum(e["up"] + e["down"] for e in exchanges) * 8e-6 / megabits
    work = {party: by(rule, features) for party, rule in WORK.items()}
    seconds = OTHER + line + sum(work.values())
    work = {party: spent + LOOKING[party] * seconds for party, spent in work.items()}
    return {
        "rows": rows,
        "features": features,
        "training": training,
        "recounted": recounted,
        "megabits": megabits,
        "milliseconds": milliseconds,
        "exchanges": exchanges,
        "processors": work,
        "seconds": seconds,
        "load": 0.1,
    }


@pytest.fixture(scope="module")
def rows():
    sizes = [(2_000, 20, 9), (8_000, 20, 11), (4_000, 40, 22), (8_000, 40, 18)]
    held = (16_000, 60, 33)
    return [
        *(made(*size) for size in sizes),
        made(*sizes[0], milliseconds=400.0),
        made(*sizes[0], megabits=1.0),
        made(*held),
        made(*held, megabits=100.0, milliseconds=50.0),
    ]


def test_rules_are_found_again(rows):
    model = fit(rows[:6])
    # Terms are 1, a hundred columns, ten thousand rows, a million rows and columns; megabytes.
    assert model["exchanges"]["mask"]["up"] == pytest.approx([1e-3, 25e-4, 0, 30], abs=1e-6)
    assert model["exchanges"]["mask 2"]["down"] == pytest.approx([5e-4, 2.5e-4, 0, 15], abs=1e-6)
    assert model["exchanges"]["blind"]["up"] == pytest.approx([0, 0, 0.32, 0], abs=1e-6)
    assert model["processors"]["bank"] == pytest.approx([1, 0, 2, 3, 1], abs=1e-6)
    assert model["round_trips_an_exchange"] == pytest.approx(TRIPS)
    assert model["seconds_a_second_of_bytes"] == pytest.approx(SHARE)
    assert model["other_waiting_s"] == pytest.approx(OTHER)


def test_another_size_is_met(rows):
    model, other = fit(rows[:6]), made(800_000, 1_500, 750, 100.0, 50.0)
    said = predicted(model, other, 100.0, 50.0)
    assert said["megabytes"] == pytest.approx(megabytes(other))
    assert said["seconds"] == pytest.approx(other["seconds"])
    assert predicted(model, other, 0.0, 0.0)["line_s"] == 0


def test_the_error_is_that_of_the_size_held_back(rows):
    exact = fitted(rows, HELD, PRODUCTS, CARRYING)["held_back"]
    assert exact["bytes_error"] < 1e-6 and exact["processors_error"] < 1e-6
    assert exact["said_line_s"] == pytest.approx(exact["line_s"])
    off = copy.deepcopy(rows)
    for r in off[6:]:
        # What was measured is larger than the rules say: a quarter more bytes, twice the seconds.
        r["exchanges"] = [{**e, "up": 1.25 * e["up"], "down": 1.25 * e["down"]} for e in r["exchanges"]]
        r["processors"] = {p: 2 * s for p, s in r["processors"].items()}
    held = fitted(off, HELD, PRODUCTS, CARRYING)["held_back"]
    assert held["bytes_error"] == pytest.approx(0.2)
    assert held["largest_exchange_error"] == pytest.approx(0.2)
    assert held["processors_error"] == pytest.approx(0.5)


def test_other_work_on_the_machine_does_not_move_bytes(rows):
    late = [{**r, "seconds": 3 * r["seconds"] + 7 * k} for k, r in enumerate(rows)]
    quiet, busy = (fitted(r, HELD, PRODUCTS, CARRYING) for r in (rows, late))
    assert quiet["shape"]["over_lines"]["megabytes"] == busy["shape"]["over_lines"]["megabytes"]
    assert quiet["held_back"]["bytes_error"] == busy["held_back"]["bytes_error"]


def test_bytes_take_no_less_than_their_time_on_the_line(rows):
    fast = [{**r, "seconds": r["seconds"] - 10 if r["megabits"] == 1 else r["seconds"]} for r in rows]
    assert fit(fast[:6])["seconds_a_second_of_bytes"] == 1


def test_without_a_delay_and_a_bandwidth_of_their_own_there_is_no_model(rows):
    with pytest.raises(ValueError, match="over a delay alone"):
        fit(rows[:5])


def test_the_public_shape(rows):
    size = shape_size()
    assert (size["rows"], size["features"]) == SHAPE
    assert (size["training"], size["recounted"]) == (560_000, 750)
    # 4 columns of each of 3,000 features: (12,000)^2 numbers of 8 bytes; 6,000 masked columns a party.
    assert gram(1_500, 200_000) == {
        "columns": 12_000,
        "entries_between": 36_000_000,
        "gigabytes": pytest.approx(1.152),
        "masked_gigabytes": pytest.approx(19.2),
    }
    shape = fitted(rows, HELD, PRODUCTS, CARRYING)["shape"]
    over = shape["over_lines"]
    assert shape["seconds_by_rate"] == pytest.approx(over["seconds"])
    # Six millionths of a second for each trained row and column make way for a hundred seconds of products, and a
    # twentieth of a second for each megabyte.
    beside = 100 + over["megabytes"] / 20 - 6e-6 * 560_000 * 1_500
    assert shape["seconds_by_parts"] == pytest.approx(over["seconds"] + beside)
    shown = as_table(fitted(rows, HELD, PRODUCTS, CARRYING))
    assert "Held back: 16,000 x 60." in shown and "800,000 x 1,500" in shown


def test_repeated_exchanges_are_numbered(rows):
    assert list(numbered(rows[0]["exchanges"])) == list(UP)
    assert set(PARTIES) == set(WORK)
