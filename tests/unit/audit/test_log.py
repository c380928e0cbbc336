"""The audit trail: hand-made cases, then every kind of tampering, crashes, many processes, full disks."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fedrisk.audit import entry as entry_module
from fedrisk.audit import log as log_module
from fedrisk.audit import signed_head as signed_head_module
from fedrisk.audit.entry import AuditEntry
from fedrisk.audit.log import AuditLog
from fedrisk.audit.signed_head import Head, SignedHead, write_head
from fedrisk.audit.verify import read, verify
from fedrisk.errors import ConfigError, EnvelopeError, ProtocolError, StoreError
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


def draft(number=0, **changes):
    base = {
        "study": "pilot",
        "attempt": "a1b2c3d4",
        "purpose": "credit",
        "action": "release",
        "event": "release",
        "counterparty": "hub",
        "kind": "noisy sums",
        "protection": "discrete Gaussian noise",
        "digest": hashlib.sha256(str(number).encode()).hexdigest(),
        "bytes": 100 + number,
    }
    return {**base, **changes}


def make(folder, batches=(1, 2, 3, 1), key=KEY, institution="tax"):
    log = AuditLog(folder / "audit.jsonl", key, institution)
    for number, size in enumerate(batches):
        log.append([draft(10 * number + i) for i in range(size)])
    return log


def forget_head(path):
    path.with_name("audit.jsonl.head").unlink()


def forget_checkpoints(path):
    for file in path.with_name("audit.jsonl.checkpoints").glob("*"):
        file.unlink()


def lines_of(path):
    return path.read_bytes().splitlines(keepends=True)


def rehash(lines, start):
    """All entries from ``start`` on linked and hashed anew, as someone without the key would."""
    out, previous = [], None
    for place, line in enumerate(lines):
        if place >= start:
            plain = json.loads(line)
            if previous is not None:
                plain["previous"] = previous
            plain["index"] = place
            plain.pop("hash")
            body = json.dumps(plain, separators=(",", ":"))[:-1].encode()
            digest = hashlib.sha256(b"fedrisk audit entry v1\n" + body).hexdigest()
            line = body + f',"hash":"{digest}"}}\n'.encode()
        previous = json.loads(line)["hash"]
        out.append(line)
    return out


# ---- hand cases


def test_what_is_appended_is_what_is_read(tmp_path):
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


def test_hashes_are_what_the_module_says(tmp_path):
    make(tmp_path, (1,))
    (line,) = lines_of(tmp_path / "audit.jsonl")
    plain = json.loads(line)
    assert list(plain) == [field.name for field in fields(AuditEntry)]
    start = line.index(b',"hash"')
    assert plain["hash"] == hashlib.sha256(b"fedrisk audit entry v1\n" + line[:start]).hexdigest()
    name = json.dumps(["tax", KEY.public.hex()], separators=(",", ":")).encode()
    assert plain["previous"] == hashlib.sha256(b"fedrisk audit log v1\n" + name).hexdigest()
    signed = b"fedrisk audit signature v1\n" + line[: line.index(b',"signature"')]
    assert plain["signature"] == KEY.sign(signed).hex()  # Ed25519 is deterministic


def test_the_fields_of_a_spend_are_those_of_spend():
    assert {field.name for field in fields(Spend)} == entry_module._SPEND


def test_a_research_spend_can_be_kept(tmp_path):
    spend = replace(SPEND, mu=float("inf"), research=True).to_dict()
    (entry,) = make(tmp_path, ()).append([draft(spend=spend)])
    assert entry.spend is not None and entry.spend["mu"] == "inf"
    assert verify(tmp_path / "audit.jsonl", KEY.public).ok


def test_appending_nothing_writes_nothing(tmp_path):
    log = make(tmp_path, ())
    assert log.append([]) == ()
    result = verify(log.path, KEY.public)
    assert (result.ok, result.entries, result.first_broken, result.notes) == (True, 0, None, ())


CANARY = "CANARY91310000MA1K"


@pytest.mark.parametrize(
    "change",
    [
        {CANARY: 1},
        {"payload": CANARY},
        {"kind": CANARY + "x" * 200},
        {"consent": CANARY + "\n"},
        {"kind": [CANARY]},
        {"digest": CANARY},
        {"digest": "A" * 64},
        {"bytes": CANARY},
        {"bytes": -1},
        {"bytes": 1.5},
        {"rows": True},
        {"event": CANARY},
        {"event": "note"},
        {"action": ""},
        {"spend": CANARY},
        {"spend": {**SPEND.to_dict(), "rows": CANARY}},
        {"spend": {**SPEND.to_dict(), "what": CANARY * 20}},
        {"spend": {**SPEND.to_dict(), "mu": CANARY}},
        {"spend": {**SPEND.to_dict(), "mu": float("nan")}},
        {"spend": {**SPEND.to_dict(), "delta": float("inf")}},
        {"index": 5},
        {"time": "2020-01-01T00:00:00.000Z"},
    ],
)
def test_unknown_fields_and_long_texts_are_refused_and_never_appear(tmp_path, change):
    log = make(tmp_path, (1,))
    before = log.path.read_bytes()
    with pytest.raises(ConfigError) as refused:
        log.append([draft(1), draft(**change)])
    assert CANARY not in str(refused.value)
    assert log.path.read_bytes() == before
    assert all(CANARY.encode() not in f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())


def test_the_file_is_for_its_owner_alone(tmp_path):
    log = make(tmp_path)
    for file in (log.path, *tmp_path.rglob("*.head"), *tmp_path.rglob("*.json")):
        assert file.stat().st_mode & 0o077 == 0


# ---- time


def test_a_clock_set_back_neither_breaks_nor_hides(tmp_path, monkeypatch):
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


def test_a_checkpoint_is_written_once_a_day(tmp_path, monkeypatch):
    now = ["2026-05-01T10:00:00.000Z"]
    monkeypatch.setattr(log_module, "_now", lambda: now[0])
    log = make(tmp_path, (2, 1))
    now[0] = "2026-05-02T10:00:00.000Z"
    log.append([draft()])
    assert [(c.count, c.time[:10]) for c in log.signed_heads()] == [(2, "2026-05-01"), (4, "2026-05-02")]
    assert all(c.holds(KEY.public) and not c.holds(OTHER.public) for c in log.signed_heads())


# ---- checkpoints


def test_a_checkpoint_survives_json_and_nothing_else(tmp_path):
    point = make(tmp_path).signed_head()
    assert SignedHead.from_json(point.to_json()) == point
    assert point.holds(KEY.public)
    for name, value in asdict(point).items():
        changed = replace(point, **{name: value + 1 if name == "count" else "0" + value[1:]})
        assert changed == point or not changed.holds(KEY.public)
    for text in ("", "[]", "{}", point.to_json().replace('"count":7', '"count":"7"')):
        with pytest.raises(EnvelopeError):
            SignedHead.from_json(text)


def test_history_written_anew_by_the_owner_shows_against_a_checkpoint(tmp_path):
    log = make(tmp_path, (2,))
    early = log.signed_head()
    log.append([draft(50), draft(51)])
    late = log.signed_head()
    (tmp_path / "new").mkdir()
    forged = AuditLog(tmp_path / "new" / "audit.jsonl", KEY, "tax")
    (tmp_path / "new" / "audit.jsonl").write_bytes(b"".join(lines_of(log.path)[:2]))
    forged._known = None
    forged.append([draft(60), draft(61), draft(62)])
    assert verify(forged.path, KEY.public).ok  # the key's owner can do that
    assert verify(forged.path, KEY.public, [early]).ok
    result = verify(forged.path, KEY.public, [late, early])
    assert (result.ok, result.first_broken) == (False, 2)


def test_a_checkpoint_of_another_key_counts_against_nobody(tmp_path):
    log = make(tmp_path)
    (tmp_path / "b").mkdir()
    other = make(tmp_path / "b", key=OTHER, institution="bank").signed_head()
    result = verify(log.path, KEY.public, [other])
    assert (result.ok, result.first_broken) == (False, None)
    assert "not signed" in result.why


def test_checkpoints_of_others_are_kept_and_contradictions_shown(tmp_path):
    log = make(tmp_path, (1,))
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    bank = make(tmp_path / "b", (2,), OTHER, "bank")
    first = bank.signed_head()
    log.witness(first, OTHER.public)
    log.witness(first, OTHER.public)
    bank.append([draft()])
    second = bank.signed_head()
    log.witness(second, OTHER.public)
    assert log.witnessed("bank") == (first, second)
    assert log.witnessed("../bank") == ()
    with pytest.raises(EnvelopeError):
        log.witness(second, KEY.public)
    twin = make(tmp_path / "c", (3,), OTHER, "bank").signed_head()
    with pytest.raises(ProtocolError, match="contradict"):
        log.witness(twin, OTHER.public)
    assert twin in log.witnessed("bank")


# ---- tampering


def test_bit_flips_all_over_a_small_log_are_found_at_their_entry(tmp_path):
    log = make(tmp_path, (1, 2))
    content = log.path.read_bytes()
    lines = lines_of(log.path)
    ends = [sum(map(len, lines[: i + 1])) for i in range(len(lines))]
    for place in range(0, len(content), 5):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        log.path.write_bytes(flipped)
        result = verify(log.path, KEY.public)
        assert not result.ok
        assert result.first_broken == next(i for i, end in enumerate(ends) if place < end), place


@pytest.fixture(scope="module")
def long_log(tmp_path_factory):
    log = make(tmp_path_factory.mktemp("long"), (1, 3, 2, 1, 4, 1, 2, 5, 1))
    return log, lines_of(log.path), log.signed_head()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_tampering_goes_unnoticed(long_log, data):
    """Each kind of attack on a log of 20 entries, with head file and checkpoint in place."""
    log, lines, point = long_log
    size = len(lines)
    signed = [i for i, line in enumerate(lines) if json.loads(line)["signature"]]
    kind = data.draw(
        st.sampled_from(["cut", "cut bytes", "flip", "swap", "replay", "delete", "edit", "put in"])
    )
    i = data.draw(st.integers(0, size - 1))
    changed, lowest = list(lines), None
    if kind == "cut":
        changed = lines[:i]
        expected = i if i == 0 or i - 1 in signed else max([s + 1 for s in signed if s < i], default=0)
    elif kind == "cut bytes":
        keep = data.draw(st.integers(1, len(lines[i]) - 1))
        changed, expected = [*lines[:i], lines[i][:keep]], i
    elif kind == "flip":
        at, bit = data.draw(st.integers(0, len(lines[i]) - 1)), data.draw(st.integers(0, 7))
        line = bytearray(lines[i])
        line[at] ^= 1 << bit
        changed[i], expected = bytes(line), i
    elif kind == "swap":
        j = data.draw(st.integers(0, size - 1).filter(lambda j: j != i))
        changed[i], changed[j] = lines[j], lines[i]
        expected = min(i, j)
    elif kind == "replay":
        j = data.draw(st.integers(i + 1, size))
        changed.insert(j, lines[i])
        expected = j
    elif kind == "delete":
        del changed[i]
        # The last entry taken out leaves what a cut leaves.
        expected = i if i < size - 1 else max([s + 1 for s in signed if s < i])
    else:
        if kind == "edit":
            plain = json.loads(lines[i])
            plain["bytes"] += data.draw(st.integers(1, 9))
            changed[i] = json.dumps(plain, separators=(",", ":")).encode() + b"\n"
        else:
            changed.insert(i, lines[data.draw(st.integers(0, size - 1))])
        changed = rehash(changed, i)
        same = next(n for n, line in enumerate(changed) if lines[n : n + 1] != [line])
        # Hashed anew, nothing tells the entries since the last good signature apart.
        lowest, expected = max([s + 1 for s in signed if s < same], default=0), same
    log.path.write_bytes(b"".join(changed))
    result = verify(log.path, KEY.public, [point])
    assert not result.ok
    lowest = expected if lowest is None else lowest
    assert lowest <= result.first_broken <= expected, (kind, i, result)


def test_a_cut_at_a_signed_entry_shows_against_head_or_checkpoint_only(tmp_path):
    log = make(tmp_path, (1, 2, 1))
    point = log.signed_head()
    log.path.write_bytes(b"".join(lines_of(log.path)[:3]))
    assert verify(log.path, KEY.public).first_broken == 3
    forget_head(log.path)
    assert verify(log.path, KEY.public, [point]).first_broken == 3
    result = verify(log.path, KEY.public)
    assert result.ok and "no head file" in result.notes[0]


def test_a_log_is_not_another_institutions_nor_of_another_key(tmp_path):
    log = make(tmp_path)
    assert verify(log.path, KEY.public, institution="tax").ok
    assert verify(log.path, OTHER.public).first_broken == 0
    assert verify(log.path, KEY.public, institution="bank").first_broken == 0
    (tmp_path / "b").mkdir()
    other = make(tmp_path / "b", key=OTHER, institution="bank")
    changed = lines_of(log.path)
    changed[3] = lines_of(other.path)[3]
    log.path.write_bytes(b"".join(changed))
    assert verify(log.path, KEY.public).first_broken == 3


def test_entries_hashed_right_but_not_signed_at_the_end_are_not_vouched_for(tmp_path):
    log = make(tmp_path, (1, 2))
    plain = json.loads(lines_of(log.path)[-1])
    plain["signature"] = ""
    extra = json.dumps(plain, separators=(",", ":")).encode() + b"\n"
    log.path.write_bytes(b"".join(rehash([*lines_of(log.path), extra], 3)))
    result = verify(log.path, KEY.public)
    assert (result.ok, result.first_broken, result.entries) == (False, 3, 4)


def test_a_missing_log_is_an_error_not_a_good_log(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        verify(tmp_path / "none.jsonl", KEY.public)


def test_an_entry_hashed_anew_alone_is_named_or_an_earlier_one_that_no_signature_covers(tmp_path):
    log = make(tmp_path, (1, 4))
    lines = lines_of(log.path)
    plain = json.loads(lines[2])
    plain["bytes"] += 1
    lines[2] = json.dumps(plain, separators=(",", ":")).encode() + b"\n"
    log.path.write_bytes(b"".join([*rehash(lines, 2)[:3], *lines[3:]]))
    result = verify(log.path, KEY.public)
    assert (result.ok, result.first_broken) == (False, 1)
    assert "entry 3 does not follow" in result.why


def test_a_field_that_stands_twice_is_refused_even_with_a_good_signature(tmp_path):
    log = make(tmp_path, (1,))
    (line,) = lines_of(log.path)
    body = line[: line.index(b',"signature"')].replace(b'"bytes":100', b'"bytes":1,"bytes":100')
    body += f',"signature":"{KEY.sign(b"fedrisk audit signature v1" + bytes([10]) + body).hex()}"'.encode()
    digest = hashlib.sha256(b"fedrisk audit entry v1\n" + body).hexdigest()
    log.path.write_bytes(body + f',"hash":"{digest}"}}\n'.encode())
    assert "twice" in verify(log.path, KEY.public).why


@example(text=":")
@given(text=st.text(max_size=200))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_that_is_taken_is_read_back_and_verifies(tmp_path_factory, text):
    log = make(tmp_path_factory.mktemp("text"), ())
    try:
        log.append(
            [
                draft(
                    kind=text,
                    consent='":"' + text[:190],
                    spend={**SPEND.to_dict(), "what": '\\":' + text[:9]},
                )
            ]
        )
    except ConfigError:
        assert not all(c.isprintable() for c in text)
        return
    assert [e.kind for e in log.entries()] == [text]
    assert verify(log.path, KEY.public).ok


def test_an_append_under_way_is_waited_for_and_not_taken_for_a_torn_tail(tmp_path):
    log = make(tmp_path, (1,))
    whole = log.path.read_bytes()
    results = []
    with log._locked() as file:
        os.write(file, b"half an append")
        reader = threading.Thread(target=lambda: results.append(verify(log.path, KEY.public)))
        reader.start()
        reader.join(0.05)
        assert reader.is_alive()
        os.ftruncate(file, len(whole))
    reader.join()
    assert results[0].ok


# ---- crashes


def test_a_torn_tail_is_moved_aside_and_noted_and_the_rest_stays(tmp_path):
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
        assert (entries[3].kind, entries[3].bytes) == ("torn tail", keep)
        assert entries[3].digest == hashlib.sha256(torn).hexdigest()
        (aside,) = tmp_path.glob("*.torn-*")
        assert aside.read_bytes() == torn
        result = verify(log.path, KEY.public)
        assert result.ok and result.notes == ("entry 3: torn tail",)


def test_a_whole_append_without_its_head_is_kept(tmp_path):
    log = make(tmp_path, (1,))
    head = (tmp_path / "audit.jsonl.head").read_bytes()
    log.append([draft(1), draft(2)])
    (tmp_path / "audit.jsonl.head").write_bytes(head)
    assert AuditLog(log.path, KEY, "tax").head()[0] == 3
    assert verify(log.path, KEY.public).ok


def test_a_lost_head_file_is_made_anew_and_noted(tmp_path):
    log = make(tmp_path)
    forget_head(log.path)
    again = AuditLog(log.path, KEY, "tax")
    assert [e.kind for e in again.entries(event="note")] == ["head file made anew"]
    assert verify(log.path, KEY.public).ok


def test_a_log_that_was_cut_off_or_changed_at_its_end_takes_no_more_entries(tmp_path):
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
def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_written(tmp_path, step, partial):
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


def test_a_disk_that_cannot_even_cut_back_is_mended_at_the_next_append(tmp_path):
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


def test_a_read_only_disk_is_a_clear_error(tmp_path, monkeypatch):
    log = make(tmp_path, (1,))
    real = os.open

    def refuse(path, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(30, "Read-only file system")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match="Read-only file system; check"):
        log.append([draft()])


def test_a_log_that_stays_locked_is_a_clear_error(tmp_path, monkeypatch):
    log = make(tmp_path, (1,))
    monkeypatch.setattr(signed_head_module, "PATIENCE", 0.05)
    with log._locked(), pytest.raises(StoreError, match="locked by another process"):
        AuditLog(log.path, KEY, "tax")


APPEND = """
import sys
from fedrisk.audit.log import AuditLog
from fedrisk.secure.identity import IdentityKey
log = AuditLog(sys.argv[1], IdentityKey(bytes([1]) * 32), "tax")
base = {"study": "s", "attempt": "a", "purpose": "p", "event": "sent", "counterparty": "hub"}
for number in range(int(sys.argv[3])):
    log.append([{**base, "action": f"{sys.argv[2]}.{number}.{i}"} for i in range(3)])
    print(number, flush=True)
"""


def start(path, name, count):
    return subprocess.Popen(
        [sys.executable, "-c", APPEND, str(path), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    path = tmp_path / "audit.jsonl"
    workers = [start(path, str(i), 25) for i in range(4)]
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    actions = [e.action for e in read(path)]
    assert sorted(actions) == sorted(f"{w}.{n}.{i}" for w in range(4) for n in range(25) for i in range(3))
    assert verify(path, KEY.public).ok


def test_kill_9_at_random_points_loses_nothing_that_was_acknowledged(tmp_path):
    """Twenty processes are killed while they append; the trail opens, verifies, and has all they acknowledged."""
    chance = random.Random(7)
    path = tmp_path / "audit.jsonl"
    told = set()
    for batch in range(10):
        pair = [start(path, f"{batch}-{i}", 10**6) for i in range(2)]
        first = [worker.stdout.readline().strip() for worker in pair]  # both have begun
        for worker in pair:
            time.sleep(chance.uniform(0, 0.03))
            worker.send_signal(signal.SIGKILL)
        for i, worker in enumerate(pair):
            rest = worker.stdout.read().split("\n")[:-1]
            worker.wait()
            told |= {f"{batch}-{i}.{n}.{k}" for n in [first[i], *rest] for k in range(3)}
    log = AuditLog(path, KEY, "tax")
    assert verify(path, KEY.public).ok
    actions = [e.action for e in log.entries() if e.event != "note"]
    assert len(actions) == len(set(actions))
    assert told <= set(actions)
    assert len(told) >= 60
    log.append([draft()])
    assert verify(path, KEY.public).ok


def die_within(step, limit):
    """This process is killed at the next such call; a write takes its first ``limit`` bytes before."""
    real = os.write

    def last(file, content=b"", *rest):
        if step == "write":
            real(file, content[:limit])
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, step, last)


def test_kill_9_within_the_write_itself(tmp_path):
    """A child dies after a random number of bytes of its append, or between two steps of it."""
    chance = random.Random(8)
    log = make(tmp_path, (2,))
    for _ in range(20):
        limit = chance.randrange(2200)
        step = chance.choice(["write", "write", "fsync", "pwrite"])
        child = os.fork()
        if child == 0:
            die_within(step, limit)
            AuditLog(log.path, KEY, "tax").append([draft(i) for i in range(3)])
            os._exit(0)
        os.waitpid(child, 0)
        before = [e for e in log.entries() if e.event != "note"]
        assert verify(log.path, KEY.public).ok
        assert len(before) % 3 == 2  # appends are whole or absent
        log.append([draft(1), draft(2), draft(3)])
    assert verify(log.path, KEY.public).ok
