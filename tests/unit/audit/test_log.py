"""Appending to the audit trail: hand-made cases, clocks, torn tails, full and read-only disks."""

import hashlib
import json
import os
from dataclasses import replace

import pytest

from fedrisk.audit import log as log_module
from fedrisk.audit import signed_head as signed_head_module
from fedrisk.audit import verify as verify_module
from fedrisk.audit.entry import genesis
from fedrisk.audit.log import AuditLog
from fedrisk.audit.signed_head import Head, write_head
from fedrisk.audit.verify import read, verify
from fedrisk.errors import ConfigError, StoreError
from fedrisk.privacy.spend import Spend
from fedrisk.secure.identity import IdentityKey

KEY, OTHER = IdentityKey(b"\1" * 32), IdentityKey(b"\2" * 32)
SPEND = Spend(
    study="pilot",
    attempt="a1b2c3d4",
    release="counts",
    population="training",
    mu=0.25,
    delta=1e-6,
    what="3 noisy block(s)",
    institution="tax",
    counterparty="hub",
)


def test_what_is_appended_is_what_is_read(tmp_path, draft, make):
    log = make(tmp_path, ())
    (first,) = log.append([draft(spend=SPEND.to_dict(), rows=7)])
    second, third = log.append([draft(event="refusal", code="budget"), draft(event="score", consent="C-1")])
    assert list(log.entries()) == [first, second, third]
    assert [e.index for e in (first, second, third)] == [0, 1, 2]
    assert first.spend is not None and Spend.from_dict(first.spend) == SPEND
    assert (first.rows, second.code, third.consent) == (7, "budget", "C-1")
    assert second.previous == first.hash and third.previous == second.hash
    assert [bool(e.signature) for e in (first, second, third)] == [True, False, True]
    assert log.head() == (3, third.hash)
    assert list(log.entries(1, event="score")) == [third]
    assert list(read(log.path)) == [first, second, third]
    assert verify(log.path, KEY.public).ok


def test_a_research_spend_can_be_kept(tmp_path, draft, make):
    spend = replace(SPEND, mu=float("inf"), research=True).to_dict()
    (entry,) = make(tmp_path, ()).append([draft(spend=spend)])
    assert entry.spend is not None and entry.spend["mu"] == "inf"
    assert verify(tmp_path / "audit.jsonl", KEY.public).ok


def test_appending_nothing_writes_nothing(tmp_path, make):
    log = make(tmp_path, ())
    assert log.append([]) == ()
    result = verify(log.path, KEY.public)
    assert (result.ok, result.entries, result.first_broken, result.notes) == (True, 0, None, ())


def test_the_file_is_for_its_owner_alone(tmp_path, make):
    log = make(tmp_path)
    for file in (log.path, *tmp_path.rglob("*.head"), *tmp_path.rglob("*.json")):
        assert file.stat().st_mode & 0o077 == 0


def test_a_clock_set_back_neither_breaks_nor_hides(tmp_path, monkeypatch, draft, make):
    log = make(tmp_path, ())
    clock = iter(["2026-05-02T00:00:00.000Z", "2026-05-01T00:00:00.000Z", "2026-05-03T00:00:00.000Z"])
    now = [""]
    monkeypatch.setattr(log_module, "_now", lambda: now[0])
    entries = []
    for now[0] in clock:
        entries += log.append([draft()])
    assert [e.time[8:10] for e in entries] == ["02", "02", "03"]
    assert [e.note for e in entries] == ["", "clock 2026-05-01T00:00:00.000Z", ""]
    result = verify(log.path, KEY.public)
    assert result.ok
    assert result.notes == ("entry 1: clock set back, it showed 2026-05-01T00:00:00.000Z",)


def test_one_signed_head_is_written_per_day(tmp_path, monkeypatch, draft, make):
    now = ["2026-05-01T10:00:00.000Z"]
    monkeypatch.setattr(log_module, "_now", lambda: now[0])
    log = make(tmp_path, (2, 1))
    now[0] = "2026-05-02T10:00:00.000Z"
    log.append([draft()])
    assert [(c.count, c.time[:10]) for c in log.signed_heads()] == [(2, "2026-05-01"), (4, "2026-05-02")]
    assert all(c.holds(KEY.public) and not c.holds(OTHER.public) for c in log.signed_heads())


class _Full:
    """os.write and os.fsync of a disk that is full, for the log's own handle only."""

    def __init__(self, monkeypatch, step, partial):
        self.real = os.write

        def write(file, content):
            if partial and len(content) > partial:
                return self.real(file, content[:partial])
            raise OSError(28, "No space left on device")

        def fsync(file):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "write" if step == "write" else "fsync", write if step == "write" else fsync)


@pytest.mark.parametrize(("step", "partial"), [("write", 0), ("write", 1000), ("fsync", 0)])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_written(tmp_path, step, partial, draft, make):
    log = make(tmp_path, (1, 2))
    before, head = log.path.read_bytes(), log.head()
    with pytest.MonkeyPatch.context() as patch:
        _Full(patch, step, partial)
        with pytest.raises(StoreError, match="nothing was appended"):
            log.append([draft(i) for i in range(5)])
    assert log.path.read_bytes() == before
    assert log.head() == head
    assert len(log.append([draft()])) == 1
    assert verify(log.path, KEY.public).ok


def test_what_a_disk_could_not_even_cut_back_is_set_aside_at_the_next_append(tmp_path, draft, make):
    log = make(tmp_path, (1,))
    with pytest.MonkeyPatch.context() as patch:
        _Full(patch, "write", 1000)

        def no_cut(file, size):
            raise OSError(30, "Read-only file system")

        patch.setattr(os, "ftruncate", no_cut)
        with pytest.raises(StoreError, match="nothing was appended"):
            log.append([draft(i) for i in range(5)])
    log.append([draft(9)])
    assert [e.event for e in log.entries()] == ["release", "note", "release"]
    assert verify(log.path, KEY.public).ok


def test_a_read_only_disk_is_a_clear_error(tmp_path, monkeypatch, draft, make):
    log = make(tmp_path, (1,))
    real = os.open

    def refuse(path, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(30, "Read-only file system")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match="Read-only file system; check"):
        log.append([draft()])


def test_a_log_that_stays_locked_is_a_clear_error(tmp_path, monkeypatch, make):
    log = make(tmp_path, (1,))
    monkeypatch.setattr(signed_head_module, "PATIENCE", 0.05)
    with log._locked(), pytest.raises(StoreError, match="locked by another process"):
        AuditLog(log.path, KEY, "tax")


def test_a_torn_tail_is_moved_aside_and_noted_and_the_rest_stays(tmp_path, draft, make):
    log = make(tmp_path, (1, 2))
    whole = log.path.read_bytes()
    donor = AuditLog(log.path, KEY, "tax").append([draft(90), draft(91), draft(92)])
    assert len(donor) == 3
    full = log.path.read_bytes()[len(whole) :]
    for keep in (1, len(full) // 2, len(full) - 1):
        torn = full[:keep]
        log.path.write_bytes(whole + torn)
        for file in tmp_path.glob("*.torn-*"):
            file.unlink()
        write_head(log.path, Head(3, json.loads(whole.splitlines()[2])["hash"], "", len(whole)))
        again = AuditLog(log.path, KEY, "tax")
        entries = list(again.entries())
        assert log.path.read_bytes().startswith(whole)
        assert [e.event for e in entries] == ["release"] * 3 + ["note"]
        assert (entries[3].kind, entries[3].bytes) == ("torn_tail", keep)
        assert entries[3].digest == hashlib.sha256(torn).hexdigest()
        (aside,) = tmp_path.glob("*.torn-*")
        assert aside.read_bytes() == torn
        result = verify(log.path, KEY.public)
        assert result.ok and result.notes == ("entry 3: torn_tail",)


def test_a_whole_append_without_its_head_is_kept(tmp_path, draft, make):
    log = make(tmp_path, (1,))
    head = (tmp_path / "audit.jsonl.head").read_bytes()
    log.append([draft(1), draft(2)])
    (tmp_path / "audit.jsonl.head").write_bytes(head)
    assert AuditLog(log.path, KEY, "tax").head()[0] == 3
    assert verify(log.path, KEY.public).ok


def test_a_lost_head_file_is_written_again_and_noted(tmp_path, make):
    log = make(tmp_path)
    log.path.with_name("audit.jsonl.head").unlink()
    again = AuditLog(log.path, KEY, "tax")
    assert [e.kind for e in again.entries(event="note")] == ["head_made_anew"]
    assert verify(log.path, KEY.public).ok


def test_a_log_that_was_cut_off_or_changed_at_its_end_takes_no_more_entries(tmp_path, draft, make, lines_of):
    log = make(tmp_path)
    content = log.path.read_bytes()
    for broken in (b"".join(lines_of(log.path)[:-1]), b"", content[:-3] + b"00" + content[-1:]):
        log.path.write_bytes(broken)
        with pytest.raises(StoreError, match="audit verify"):
            AuditLog(log.path, KEY, "tax")
    log.path.write_bytes(b"")
    with pytest.raises(StoreError):
        log.append([draft()])
    log.path.write_bytes(content)
    assert len(log.append([draft()])) == 1


def test_the_hash_at_any_count_is_that_of_its_entry(tmp_path, make, monkeypatch):
    log = make(tmp_path, (1, 2, 3, 1))
    hashes = [entry.hash for entry in log.entries()]
    for block in (1 << 20, 1000, 7):  # also where a line lies across two blocks
        monkeypatch.setattr(verify_module, "_BLOCK", block)
        assert [log.hash_at(n + 1) for n in range(len(hashes))] == hashes
    assert log.hash_at(0) == genesis("tax", KEY.public)
    assert log.hash_at(len(hashes) + 1) is None


def test_a_note_of_the_people_is_a_note_like_others(tmp_path, make):
    log = make(tmp_path)
    note = log.note("contradiction_answered", counterparty="bank", digest="a" * 64)
    assert (note.event, note.counterparty, note.digest) == ("note", "bank", "a" * 64)
    found = verify(log.path, KEY.public)
    assert found.ok and any("contradiction_answered" in text for text in found.notes)
    with pytest.raises(ConfigError):
        log.note("no code", counterparty="bank", digest="")
