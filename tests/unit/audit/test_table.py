"""Signed tables of what left an institution: what they say, what they never say, and which are refused."""

import json
import math

import pytest

from fedrisk.audit.crosscheck import crosscheck, disclosures
from fedrisk.audit.log import AuditLog
from fedrisk.audit.signed_head import Stated
from fedrisk.audit.table import SignedTable, lines_of
from fedrisk.errors import EnvelopeError
from fedrisk.secure.identity import IdentityKey

KEY, ATTEMPT = IdentityKey(b"\1" * 32), "a1b2c3d4"
SPEND = {
    **dict.fromkeys(
        ("study", "attempt", "release", "population", "what", "institution", "counterparty"), "x"
    ),
    "mu": 0.5,
    "delta": 1e-6,
    "research": False,
}


@pytest.fixture
def log(tmp_path, draft):
    """Entries of two attempts, a note of the institution's people between them."""
    log = AuditLog(tmp_path / "audit.jsonl", KEY, "tax")
    log.append([draft(0, event="request", kind="", consent="consent-77", rows=12)])
    log.append([draft(1, event="received", counterparty="bank"), draft(2, event="sent", counterparty="bank")])
    log.note("contradiction_answered", counterparty="court", digest="ab" * 32)
    log.append([draft(3, event="sent", counterparty="court", attempt="other000")])
    log.append([draft(4, spend=SPEND), draft(5, event="answer", kind="")])
    log.append([draft(6, event="answer", action="disclosures", kind="disclosure_table")])
    return log


def signed(log, attempt=ATTEMPT):
    head = log.signed_head(Stated(entries=3, lifetime_mu=0.2, attempt=attempt))
    return SignedTable.sign("pilot", attempt, head, lines_of(log.entries(), attempt), KEY)


def test_a_table_says_what_crossed_and_nothing_of_the_institutions_own(log):
    table = signed(log)
    assert [(e.index, e.event, e.counterparty, e.mu) for e in table.lines] == [
        (1, "received", "bank", None),
        (2, "sent", "bank", None),
        (5, "release", "hub", 0.5),
    ]
    text = json.dumps(table.to_dict())
    for own in ("court", "contradiction_answered", "consent-77", "other000", "disclosure_table", "credit"):
        assert own not in text


def test_it_gives_the_same_disclosures_as_the_trail(log):
    lines, entries = signed(log).lines, list(log.entries())
    assert disclosures(lines, ATTEMPT) == [
        row for row in disclosures(entries, ATTEMPT) if row.kind != "disclosure_table"
    ]
    assert len(disclosures(lines, ATTEMPT)) == 2
    found = crosscheck({"tax": lines, "bank": []}, ATTEMPT)
    assert [(d.what, d.sender, d.receiver) for d in found] == [
        ("extra", "bank", "tax"),
        ("missing", "tax", "bank"),
    ]


def test_it_is_read_back_as_it_was_signed(log):
    table = signed(log)
    back = SignedTable.from_dict(json.loads(json.dumps(table.to_dict())))
    assert back == table and back.holds(KEY.public)
    assert not back.holds(IdentityKey(b"\2" * 32).public)


def test_no_privacy_survives_the_way(tmp_path, draft):
    log = AuditLog(tmp_path / "audit.jsonl", KEY, "tax")
    log.append([draft(1, spend={**SPEND, "research": True})])
    back = SignedTable.from_dict(json.loads(json.dumps(signed(log).to_dict())))
    assert back.lines[0].mu == math.inf and back.holds(KEY.public)


def changed(plain, where, value):
    *path, last = where
    inside = plain
    for step in path:
        inside = inside[step]
    inside[last] = value
    return plain


CHANGES = {
    "a size": (("lines", 1, 6), 7),
    "a digest": (("lines", 1, 5), "ab" * 32),
    "a price": (("lines", 2, 7), 0.1),
    "a kind": (("lines", 1, 3), "blinded_ids"),
    "a counterparty": (("lines", 1, 2), "court"),
    "the study": (("study",), "other"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_table_does_not_hold(log, what):
    plain = changed(signed(log).to_dict(), *CHANGES[what])
    assert not SignedTable.from_dict(plain).holds(KEY.public)


def test_a_table_without_a_line_does_not_hold(log):
    plain = signed(log).to_dict()
    del plain["lines"][1]
    assert not SignedTable.from_dict(plain).holds(KEY.public)


MALFORMED = {
    "of another attempt than its head": (("attempt",), "b1b2c3d4"),
    "of another institution than its head": (("institution",), "court"),
    "a name of many lines": (("study",), "a\nb"),
    "a key that is none": (("key",), "ab"),
    "a signature that is none": (("signature",), "zz"),
    "a head that is none": (("head",), {"count": 1}),
    "lines that are none": (("lines",), {"a": 1}),
    "an event of the log's own": (("lines", 0, 1), "note"),
    "a sentence for a kind": (("lines", 0, 3), "<b>masked</b>"),
    "no kind": (("lines", 0, 3), ""),
    "a sentence for a protection": (("lines", 0, 4), "under masks"),
    "a digest that is none": (("lines", 0, 5), "AB" * 32),
    "a negative size": (("lines", 0, 6), -1),
    "truth for a number": (("lines", 0, 6), True),
    "a negative price": (("lines", 2, 7), -0.5),
    "a price that is none": (("lines", 2, 7), "cheap"),
    "lines out of order": (("lines", 1, 0), 1),
    "a line behind the head": (("lines", 2, 0), 10_000),
    "a line too short": (("lines", 0), [1, 2]),
    "a line that is none": (("lines", 0), None),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_table_is_refused(log, what):
    with pytest.raises(EnvelopeError, match="malformed"):
        SignedTable.from_dict(changed(signed(log).to_dict(), *MALFORMED[what]))


@pytest.mark.parametrize("plain", [None, 3, [], {}, {"lines": []}])
def test_what_is_no_table_is_refused(plain):
    with pytest.raises(EnvelopeError, match="malformed"):
        SignedTable.from_dict(plain)
