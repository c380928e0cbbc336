"""Trails of institutions against each other, and who saw what."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.audit.crosscheck import DisclosureRow, crosscheck, disclosures
from fedrisk.audit.entry import AuditEntry
from fedrisk.errors import ConfigError


def entry(institution, event, counterparty, digest="d1", index=0, **changes):
    base = {
        "format": 2,
        "index": index,
        "time": "2026-05-01T00:00:00.000Z",
        "institution": institution,
        "study": "pilot",
        "attempt": "a",
        "purpose": "credit",
        "action": "mask",
        "event": event,
        "counterparty": counterparty,
        "kind": "masked_matrix",
        "protection": "masked.sealed",
        "digest": digest,
        "bytes": 100,
        "rows": 0,
        "spend": None,
        "consent": None,
        "code": None,
        "note": "",
        "previous": "",
        "signature": "",
        "hash": "",
    }
    return AuditEntry(**{**base, **changes})


def spend(mu, research=False):
    return {"mu": mu, "research": research}


def test_trails_that_agree_both_ways():
    logs = {
        "tax": [entry("tax", "sent", "bank", "d1"), entry("tax", "received", "bank", "d2")],
        "bank": [entry("bank", "received", "tax", "d1"), entry("bank", "sent", "tax", "d2")],
    }
    assert crosscheck(logs, "a") == []


def test_missing_extra_and_different_are_told_apart():
    lost, odd = entry("tax", "sent", "bank", "d1", 3), entry("tax", "received", "bank", "d9", 4, kind="x")
    one = entry("tax", "sent", "court", "d3", 5)
    other = entry("court", "received", "tax", "d3", 6, bytes=101)
    logs = {"tax": [lost, odd, one], "bank": [], "court": [other]}
    found = crosscheck(logs, "a")
    assert [(d.sender, d.receiver, d.what) for d in found] == [
        ("bank", "tax", "extra"),
        ("tax", "bank", "missing"),
        ("tax", "court", "different"),
    ]
    assert (found[0].sent, found[0].received) == (None, odd)
    assert (found[1].sent, found[1].received) == (lost, None)
    assert (found[2].sent, found[2].received) == (one, other)
    assert [d.differs for d in found] == [(), (), ("bytes",)]


def test_content_changed_on_the_way_is_different_not_missing_and_extra():
    logs = {"tax": [entry("tax", "sent", "bank", "d1")], "bank": [entry("bank", "received", "tax", "d2")]}
    (found,) = crosscheck(logs, "a")
    assert (found.what, found.differs) == ("different", ("digest",))


def test_all_that_differs_is_named_in_one_order():
    logs = {
        "tax": [entry("tax", "sent", "bank", "d1", kind="a")],
        "bank": [entry("bank", "received", "tax", "d1", kind="b", bytes=7)],
    }
    (found,) = crosscheck(logs, "a")
    assert found.differs == ("bytes", "kind")


def test_the_kinds_of_two_formats_are_not_compared():
    """One of the two was updated in the middle of an attempt, and sends what it had sent before again."""
    prose = {"format": 1, "kind": "prose"}
    logs = {
        "tax": [entry("tax", "sent", "bank", "d1", **prose), entry("tax", "sent", "bank", "d1")],
        "bank": [entry("bank", "received", "tax", "d1", **prose)],
    }
    assert crosscheck(logs, "a") == []
    logs["bank"] = [entry("bank", "received", "tax", "d1")]
    assert crosscheck(logs, "a") == []
    logs["bank"] = [entry("bank", "received", "tax", "d1", bytes=101)]
    (found,) = crosscheck(logs, "a")
    assert (found.what, found.differs) == ("different", ("bytes",))


def test_relayed_to_the_wrong_institution_is_missing_here_and_extra_there():
    logs = {
        "tax": [entry("tax", "sent", "bank", "d1")],
        "bank": [],
        "court": [entry("court", "received", "tax", "d1")],
    }
    found = [(d.sender, d.receiver, d.what) for d in crosscheck(logs, "a")]
    assert found == [("tax", "bank", "missing"), ("tax", "court", "extra")]


def test_a_repeat_of_the_same_thing_and_what_cannot_be_compared_are_no_disagreement():
    logs = {
        "tax": [
            *(entry("tax", "sent", "bank"), entry("tax", "sent", "bank")),
            *(entry("tax", "answer", "hub", "d7"), entry("tax", "sent", "absent", "d8")),
            *(entry("tax", "release", "bank", "d5"), entry("tax", "sent", "bank", "d6", attempt="other")),
        ],
        "bank": [entry("bank", "received", "tax")],
    }
    assert crosscheck(logs, "a") == []


def test_a_trail_under_another_name_is_refused():
    with pytest.raises(ConfigError, match="own institution"):
        crosscheck({"bank": [entry("tax", "sent", "bank")]}, "a")


NAMES = ("bank", "court", "tax")
MESSAGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(1, 10**6)).filter(
        lambda m: m[0] != m[1]
    ),
    min_size=1,
    max_size=12,
)


@given(MESSAGES, st.data())
def test_each_fault_is_found_where_it_is_and_nothing_else(messages, data):
    """Every message has another kind, so that each fault is recognised exactly."""
    logs = {name: [] for name in NAMES}
    for number, (sender, receiver, size) in enumerate(messages):
        same = {"digest": f"d{number}", "bytes": size, "kind": f"kind {number}"}
        logs[sender].append(entry(sender, "sent", receiver, **same))
        logs[receiver].append(entry(receiver, "received", sender, **same))
    assert crosscheck(logs, "a") == []
    expected = set()
    for number, (sender, receiver, size) in enumerate(messages):
        fault = data.draw(st.sampled_from(["none", "missing", "extra", "digest", "bytes", "kind"]))
        if fault == "none":
            continue
        name, event = (sender, "sent") if fault == "extra" else (receiver, "received")
        at = next(i for i, e in enumerate(logs[name]) if e.digest == f"d{number}" and e.event == event)
        gone = logs[name].pop(at)
        if fault in ("digest", "bytes", "kind"):
            same = {"digest": gone.digest, "bytes": size, "kind": gone.kind}
            same[fault] = size + 1 if fault == "bytes" else "changed " + same[fault]
            logs[name].insert(at, entry(receiver, "received", sender, **same))
        what = fault if fault in ("missing", "extra") else "different"
        expected.add((sender, receiver, what, f"d{number}"))
    found = crosscheck(logs, "a")
    assert len(found) == len(expected)
    assert {(d.sender, d.receiver, d.what, (d.sent or d.received).digest) for d in found} == expected


def test_who_saw_what_by_hand():
    noisy = {"kind": "noisy_sums", "protection": "noise"}
    trail = [
        entry("tax", "request", "hub", kind="study"),
        entry("tax", "release", "hub", **noisy, spend=spend(3.0)),
        entry("tax", "release", "hub", **noisy, spend=spend(4.0)),
        entry("tax", "answer", "hub", kind="", bytes=999),
        entry("tax", "sent", "bank"),
        entry("tax", "received", "bank"),
        entry("tax", "delivery", "hub"),
        entry("tax", "sent", "bank", attempt="other"),
        entry("bank", "refusal", "hub", kind="refusal", protection="none", bytes=5, code="budget"),
        entry("bank", "release", "hub", **noisy, spend=spend("inf", True)),
    ]

    def row(institution, counterparty, kind, protection, mu, size, count):
        return DisclosureRow(
            institution=institution,
            counterparty=counterparty,
            kind=kind,
            protection=protection,
            mu=mu,
            bytes=size,
            count=count,
        )

    assert disclosures(trail, "a") == [
        row("bank", "hub", "noisy_sums", "noise", math.inf, 100, 1),
        row("bank", "hub", "refusal", "none", 0.0, 5, 1),
        row("tax", "bank", "masked_matrix", "masked.sealed", 0.0, 100, 1),
        row("tax", "hub", "noisy_sums", "noise", 5.0, 200, 2),
    ]
