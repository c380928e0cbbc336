"""What the tests of the ledger share: a path, a spend, a clock that is set by hand, a ledger in use."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.spend import Spend


class Clock:
    """A clock that is set by hand; at first 15 January 2026."""

    def __init__(self):
        self.moment = datetime(2026, 1, 15, tzinfo=UTC)

    def __call__(self):
        return self.moment

    def move(self, **by):
        self.moment += timedelta(**by)


BASE = Spend(
    study="autumn",
    attempt="1",
    release="counts",
    population="training",
    mu=3.0,
    delta=1e-6,
    what="label counts per bin",
    institution="tax",
    counterparty="hub",
)


@pytest.fixture(scope="session")
def base():
    """A spend of mu 3 of study "autumn", attempt "1"."""
    return BASE


@pytest.fixture(scope="session")
def one():
    """Mu of epsilon 1 at delta 1e-6."""
    return mu_for(1.0, 1e-6)


@pytest.fixture(scope="session")
def refit(one):
    """A spend of epsilon 1 of study "refit", attempt "1"."""
    return replace(BASE, study="refit", mu=one)


@pytest.fixture
def path(tmp_path):
    """Where a ledger may be made."""
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def clock():
    """A clock that is set by hand."""
    return Clock()


@pytest.fixture(scope="session")
def new_clock():
    """Makes further such clocks."""
    return Clock


@pytest.fixture
def used(path):
    """A ledger with a lifetime cap of mu 5 in which one release of mu 3 is committed."""
    ledger = Ledger(path, 5.0)
    ledger.debit("a", BASE, "d")
    ledger.commit("a", b"x")
    return ledger
