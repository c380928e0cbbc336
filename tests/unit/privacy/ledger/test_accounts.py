"""Running totals by hand: squares add, an attempt is charged its larger population."""

import math
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.privacy.ledger.accounts import (
    Account,
    Key,
    Row,
    add,
    charged_rows,
    keys_of,
    read,
    recompute,
    reserved,
    square,
    write,
)
from fedrisk.privacy.ledger.schema import create


@pytest.fixture
def db():
    db = sqlite3.connect(":memory:", isolation_level=None)
    create(db)
    yield db
    db.close()


def row(mu2, attempt="1", population="training", study="autumn", purpose="scoring", period=0):
    return Row(study, attempt, population, mu2, purpose, period)


def test_squares_neither_vanish_nor_overflow():
    assert square(0.0) == 0.0
    assert square(1.5) == 2.25
    assert square(1e-200) == square(1e-160) == 1e-300
    assert square(1e200) == 1e300


def test_a_row_is_charged_to_four_accounts():
    assert keys_of(row(1.0, period=7)) == (
        Key("lifetime", "", 0),
        Key("period", "", 7),
        Key("purpose", "scoring", 7),
        Key("study", "autumn", 7),
    )


def test_an_attempt_costs_its_larger_population_and_attempts_add_up():
    rows = [row(9.0), row(4.0, population="holdout"), row(7.0, population="holdout"), row(1.0, attempt="2")]
    totals = recompute(rows)
    assert {account.mu2 for account in totals.values()} == {12.0}
    assert totals[Key("study", "autumn", 0)].sides == {
        ("autumn", "1"): [9.0, 11.0],
        ("autumn", "2"): [1.0, 0.0],
    }
    assert recompute([row(1.0), row(2.0, period=1)])[Key("period", "", 1)].mu2 == 2.0


def test_what_is_written_is_read_and_added_to(db):
    assert read(db, Key("lifetime", "", 0)) == Account()
    accounts = {}
    add(accounts, row(9.0), db)
    write(db, accounts)
    later = {}
    add(later, row(16.0, population="holdout"), db)
    life = later[Key("lifetime", "", 0)]
    assert (life.old, life.mu2) == (9.0, 16.0)
    write(db, later)
    assert read(db, Key("lifetime", "", 0)).mu2 == 16.0


def test_research_and_cancelled_releases_are_not_charged_and_open_ones_are_reserved(db):
    insert = (
        "INSERT INTO release (release_id, spend, digest, purpose, study, attempt, population, mu2, period, "
        "debited, committed, cancelled) VALUES (?, '', '', 'p', 's', '1', ?, ?, 3, 't', ?, ?)"
    )
    for release in [
        ("done", "training", 1.0, "t", None),
        ("open", "training", 4.0, None, None),
        ("open on the other side", "holdout", 9.0, None, None),
        ("research", "training", None, None, None),
        ("cancelled", "training", 16.0, None, "t"),
    ]:
        db.execute(insert, release)
    assert [of.mu2 for of in charged_rows(db)] == [1.0, 4.0, 9.0]
    assert reserved(db, None) == reserved(db, 3) == 9.0
    assert reserved(db, 2) == 0.0


@given(
    st.lists(
        st.builds(
            row,
            st.floats(0.0, 10.0),
            st.sampled_from("12"),
            st.sampled_from(["training", "holdout"]),
            st.sampled_from(["autumn", "winter"]),
            st.sampled_from(["scoring", "trial"]),
            st.integers(0, 1),
        ),
        max_size=12,
    )
)
def test_accounts_equal_a_plain_sum(rows):
    totals = recompute(rows)
    for key, account in totals.items():
        of_key = [one for one in rows if key in keys_of(one)]
        attempts = {(one.study, one.attempt) for one in of_key}
        expected = sum(
            max(
                sum(o.mu2 for o in of_key if (o.study, o.attempt, o.population) == (*attempt, side))
                for side in ("training", "holdout")
            )
            for attempt in attempts
        )
        assert math.isclose(account.mu2, expected, rel_tol=1e-9, abs_tol=1e-12)
