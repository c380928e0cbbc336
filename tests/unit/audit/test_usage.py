"""Usage equals the sums over the trail."""

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.audit.entry import AuditEntry
from fedrisk.audit.log import AuditLog
from fedrisk.audit.usage import UsageRow, to_csv, usage_rows
from fedrisk.secure.identity import IdentityKey


def entry(event="release", **changes):
    base = {
        "format": 2,
        "index": 0,
        "time": "2026-05-01T00:00:00.000Z",
        "institution": "tax",
        "study": "pilot",
        "attempt": "a",
        "purpose": "credit",
        "action": "release",
        "event": event,
        "counterparty": "hub",
        "kind": "",
        "protection": "",
        "digest": "",
        "bytes": 0,
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
    return {
        "study": "pilot",
        "attempt": "a",
        "release": "r",
        "population": "training",
        "mu": mu,
        "delta": 1e-6,
        "what": "counts",
        "institution": "tax",
        "counterparty": "hub",
        "research": research,
    }


def test_a_small_trail_by_hand():
    trail = [
        entry("request", bytes=10),
        entry("release", bytes=1000, rows=50, spend=spend(3.0)),
        entry("answer", bytes=1200),
        entry("release", bytes=1000, rows=60, spend=spend(4.0)),
        entry("refusal", code="budget"),
        entry("sent", counterparty="bank", bytes=7),
        entry("score", counterparty="bank", rows=20),
        entry("received", counterparty="bank", bytes=9),
        entry("note", counterparty="", bytes=99),
        entry("release", time="2026-06-01T00:00:00.000Z", spend=spend("inf", True)),
        entry("request", purpose="supervision", bytes=5),
    ]
    may, june = {"purpose": "credit", "month": "2026-05"}, {"purpose": "credit", "month": "2026-06"}
    none = {"requests": 0, "releases": 0, "refusals": 0, "mu": 0.0, "rows": 0, "scores": 0}
    none |= {"bytes_in": 0, "bytes_out": 0}
    assert usage_rows(trail) == [
        UsageRow(counterparty="bank", **{**none, **may, "scores": 20, "bytes_in": 9, "bytes_out": 7}),
        UsageRow(
            **{**none, **may, "counterparty": "hub", "requests": 1, "releases": 2, "refusals": 1, "mu": 5.0}
            | {"rows": 110, "bytes_in": 10, "bytes_out": 1200}
        ),
        UsageRow(
            counterparty="hub",
            **{**none, "month": "2026-05", "purpose": "supervision", "requests": 1, "bytes_in": 5},
        ),
        UsageRow(counterparty="hub", **{**none, **june, "releases": 1, "mu": math.inf}),
    ]


def test_a_research_spend_is_infinite_whatever_its_nominal_mu():
    assert usage_rows([entry(spend=spend(0.1, True))])[0].mu == math.inf


def test_a_release_of_all_counts_for_both_populations():
    def of(population, mu):
        return entry("release", spend={**spend(mu), "population": population})

    assert usage_rows([of("all", 4.0), of("holdout", 3.0), of("training", 2.0)])[0].mu == pytest.approx(5.0)
    assert usage_rows([of("all", 4.0), of("all", 3.0)])[0].mu == pytest.approx(5.0)


def test_usage_is_read_from_a_log(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl", IdentityKey.generate(), "tax")
    base = {"study": "s", "attempt": "a", "purpose": "p", "action": "release", "counterparty": "hub"}
    log.append([{**base, "event": "request", "bytes": 3}, {**base, "event": "release", "spend": spend(0.5)}])
    (row,) = usage_rows(log.entries())
    assert (row.requests, row.releases, row.mu, row.bytes_in) == (1, 1, 0.5, 3)


ENTRIES = st.builds(
    entry,
    st.sampled_from(
        ["request", "answer", "sent", "received", "release", "refusal", "score", "delivery", "note"]
    ),
    counterparty=st.sampled_from(["hub", "bank", 'a "quoted", name']),
    purpose=st.sampled_from(["credit", "supervision"]),
    time=st.sampled_from(["2026-05-31T23:59:59.999Z", "2026-06-01T00:00:00.000Z"]),
    bytes=st.integers(0, 10**12),
    rows=st.integers(0, 10**6),
    spend=st.none() | st.floats(0, 10).map(spend) | st.just(spend("inf", True)),
)


@given(st.lists(ENTRIES, max_size=40))
def test_usage_equals_the_sums_over_the_trail(trail):
    rows = usage_rows(trail)
    keys = [(row.month, row.counterparty, row.purpose) for row in rows]
    assert keys == sorted(set(keys))
    trail = [e for e in trail if e.event != "note"]
    for row in rows:
        of_row = [
            e
            for e in trail
            if (e.time[:7], e.counterparty, e.purpose) == (row.month, row.counterparty, row.purpose)
        ]
        assert of_row
        squares = sum(float(e.spend["mu"]) ** 2 for e in of_row if e.spend)
        assert math.isclose(row.mu**2, squares, rel_tol=1e-9, abs_tol=1e-300)
    for event, name in (("request", "requests"), ("release", "releases"), ("refusal", "refusals")):
        assert sum(getattr(row, name) for row in rows) == sum(e.event == event for e in trail)
    for event, name in (("release", "rows"), ("score", "scores")):
        assert sum(getattr(row, name) for row in rows) == sum(e.rows for e in trail if e.event == event)
    ways = {"bytes_in": ("request", "received"), "bytes_out": ("answer", "sent")}
    for name, events in ways.items():
        assert sum(getattr(row, name) for row in rows) == sum(e.bytes for e in trail if e.event in events)
    table = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [{k: str(v) for k, v in vars(row).items()} for row in rows] == table
