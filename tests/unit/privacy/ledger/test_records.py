"""Acts and entries as they are written down: the chain by hand, and entries that cannot be read."""

import hashlib
import json
import sqlite3

import pytest

from fedrisk.errors import StoreError
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.records import entry_digest, next_head, spend_from


def test_the_chain_of_acts_by_hand(path, used, base):
    """One debit and one commit: each head is the hash of the one before and the act's content."""
    spend = json.dumps(base.to_dict())
    with sqlite3.connect(path) as db:
        acts = db.execute("SELECT position, kind, name, time, detail, lifetime, head FROM act").fetchall()
        state = db.execute("SELECT count, head FROM state").fetchone()
    db.close()
    assert [act[4] for act in acts] == [entry_digest(spend, "d", ""), hashlib.sha256(b"x").hexdigest()]
    head = "0" * 64
    for position, act in enumerate(acts, 1):
        assert (act[0], act[5]) == (position, 9.0)
        assert act[6] == next_head(head, *act[:6])
        head = hashlib.sha256(json.dumps([head, *act[:6]]).encode()).hexdigest()
        assert act[6] == head
    assert state == (2, head)


def test_a_spend_is_read_back(path, base):
    assert spend_from(json.dumps(base.to_dict()), path) == base
    for text in ("", "[]", "{}", "null", '{"mu": 1}'):
        with pytest.raises(StoreError, match="cannot be read; restore the latest copy"):
            spend_from(text, path)


def test_an_entry_that_cannot_be_read_is_named(path, base):
    ledger = Ledger(path, caps=5.0)
    ledger.debit("a", base, "d")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE release SET spend = '{}'")
    db.close()
    for call in (ledger.audit, ledger.entries, lambda: ledger.debit("a", base, "d")):
        with pytest.raises(StoreError, match="cannot be read"):
            call()
