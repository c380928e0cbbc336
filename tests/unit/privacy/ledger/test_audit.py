"""The full check of a ledger finds what was changed in its file."""

import sqlite3
from dataclasses import replace

import pytest

from fedrisk.errors import StoreError
from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Ledger


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE account SET mu2 = 0 WHERE scope = 'period'", "total of an account"),
        ("UPDATE account SET mu2 = 0 WHERE scope = 'lifetime'", "last act"),
        ("DELETE FROM account WHERE scope = 'study'", "total of an account"),
        ("UPDATE release SET mu2 = 0", "charged otherwise"),
        ("UPDATE release SET attempt = '7'", "charged otherwise"),
        ("UPDATE release SET purpose = 'other'", "not the one that was debited"),
        ("UPDATE release SET digest = 'other'", "not the one that was debited"),
        ("UPDATE release SET committed = NULL", "answer of entry 1"),
        ("UPDATE release SET cancelled = 'x' WHERE position = 2", "cancelled without an act"),
        ("UPDATE answer SET bytes = 'other'", "answer of entry 1"),
        ("DELETE FROM answer", "answer of entry 1"),
        ("DELETE FROM release WHERE position = 2", "entries"),
        ("UPDATE allowance SET mu = 9", "grants"),
        ("UPDATE act SET time = 'x' WHERE position = 1", "act 1"),
        ("DELETE FROM act WHERE position = 2", "act 3"),
    ],
)
def test_audit_finds_what_was_changed(path, change, fault, refit):
    ledger = Ledger(path, Caps())
    ledger.debit("a", refit, "d")
    ledger.commit("a", b"x")
    ledger.debit("b", replace(refit, attempt="2"), "d")
    ledger.grant(mu=0.1, reason="r", who="w")
    assert ledger.audit() == 4
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    with pytest.raises(StoreError, match=fault):
        ledger.audit()
