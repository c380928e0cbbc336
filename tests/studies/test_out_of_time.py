"""A hold-out by date tells a column of the bank: only where its policy says so, and one boundary a period."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients import out_of_time
from fedrisk.errors import PeerError, StoreError

pytestmark = pytest.mark.study

DATES = ("2023-07-01", "2023-09-01", "2023-11-01", "2024-01-01", "2024-06-01")
"""The first leaves a quarter of the rows for training, which is enough for the policies."""


class Stop(Exception):
    """The hub has seen enough."""


@pytest.fixture
def by_date(kit, tmp_path):
    columns = {r: [*c, {"name": "day", "kind": "date", "feature": False}] for r, c in kit.COLUMNS.items()}
    return kit.build(
        tmp_path,
        enterprises=400,
        columns=columns,
        dictionary={"as_of": "day"},
        policy={"out_of_time": True, "cap_epsilon": 100.0},
        study={"holdout": {"kind": "out_of_time", "from_date": DATES[0]}},
    )


def read_dates(consortium, dates):
    """What the hub, and the tax office, learn of the bank's dates by studies that stop before anything is charged."""
    bits, refused = {}, []
    for day in dates:

        def look(record, step, day=day):
            if step.action == "edges":
                bits[day] = np.bincount(step.sent["tax"].array("use:alfa"), minlength=3)
                raise Stop

        study = consortium.with_study(holdout={"kind": "out_of_time", "from_date": day})
        try:
            consortium.run(study, change=look)
        except Stop:
            pass
        except PeerError:
            found = consortium.nodes["alfa"].store.errors.of(consortium.last.attempt)
            refused.append((day, found[-1]["text"]))
    assert all(not node.ledger.entries() for node in consortium.nodes.values())
    return bits, refused


def test_five_boundaries_do_not_read_the_dates(by_date):
    """Five stopped studies with five boundaries were five exact bits of each enterprise, and cost nothing."""
    bits, refused = read_dates(by_date, DATES)
    assert list(bits) == [DATES[0]]
    held = int((by_date.tables["alfa"]["day"] >= pd.Timestamp(DATES[0])).sum())
    assert bits[DATES[0]][1] == held
    assert [day for day, _ in refused] == list(DATES[1:])
    assert f"Set holdout.from_date = {DATES[0]}, or wait until" in refused[0][1]
    assert "alfa told other institutions" in refused[0][1]


def test_the_same_boundary_again_tells_nothing_new(by_date):
    bits, refused = read_dates(by_date, [DATES[2]] * 3)
    assert list(bits) == [DATES[2]] and not refused


def test_the_next_period_has_its_own_boundary(by_date, monkeypatch):
    read_dates(by_date, DATES[:1])
    today = datetime.now(UTC).date()
    monkeypatch.setattr(out_of_time, "_today", lambda: today + timedelta(days=364))
    assert read_dates(by_date, DATES[1:2])[1]
    monkeypatch.setattr(out_of_time, "_today", lambda: today + timedelta(days=365))
    bits, refused = read_dates(by_date, DATES[1:2])
    assert list(bits) == [DATES[1]] and not refused
    # A clock that is set back does not bring the first one back.
    monkeypatch.setattr(out_of_time, "_today", lambda: today)
    assert read_dates(by_date, DATES[:1])[1]


def test_a_bank_whose_policy_does_not_say_so_takes_no_part(by_date):
    for content in by_date.content.values():
        content["policy"] = {**content["policy"], "out_of_time": False}
    for name in by_date.content:
        by_date.write(name)
    bits, refused = read_dates(by_date, DATES[:1])
    assert not bits and "policy.out_of_time is false" in refused[0][1]
    # The tax office, whose dates they are not, has nothing against it.
    assert not by_date.nodes["tax"].store.errors.of(by_date.last.attempt)


def test_research_runs_are_apart(by_date):
    for day in DATES[:2]:
        study = by_date.with_study(holdout={"kind": "out_of_time", "from_date": day})
        by_date.run(study, research_seed=1)
    assert not (by_date.nodes["alfa"].store.path / out_of_time.FILE).exists()


def test_the_trail_names_the_column(by_date):
    run = by_date.run()
    kinds = {
        name: [e.kind for e in node.trail.entries(action="pseudonyms", event="answer")]
        for name, node in run.nodes.items()
    }
    assert kinds == {"alfa": ["pseudonyms_and_date_side"], "tax": ["pseudonyms"]}


def test_boundaries_that_cannot_be_read_are_not_taken_for_none(by_date):
    read_dates(by_date, DATES[:1])
    node = by_date.nodes["alfa"]
    (node.store.path / out_of_time.FILE).write_text("[]")
    with pytest.raises(StoreError, match="bring it back"):
        out_of_time.check_boundary(node, by_date.study, research=False)
