"""Checking a trail: every kind of tampering, with and without a known signed head, in both formats."""

import json
import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedrisk.audit.crosscheck import crosscheck, disclosures
from fedrisk.audit.log import AuditLog
from fedrisk.audit.signed_head import SignedHead
from fedrisk.audit.usage import usage_rows
from fedrisk.audit.verify import read, verify
from fedrisk.errors import StoreError
from fedrisk.secure.identity import IdentityKey

KEY, OTHER = IdentityKey(b"\1" * 32), IdentityKey(b"\2" * 32)


def test_history_rewritten_by_the_owner_shows_against_a_signed_head(tmp_path, draft, make, lines_of):
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


def test_a_signed_head_of_another_key_counts_against_nobody(tmp_path, make):
    log = make(tmp_path)
    (tmp_path / "b").mkdir()
    other = make(tmp_path / "b", key=OTHER, institution="bank").signed_head()
    result = verify(log.path, KEY.public, [other])
    assert (result.ok, result.first_broken) == (False, None)
    assert "not signed" in result.why


def test_bit_flips_all_over_a_small_log_are_found_at_their_entry(tmp_path, make, lines_of):
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
def long_log(tmp_path_factory, make, lines_of):
    log = make(tmp_path_factory.mktemp("long"), (1, 3, 2, 1, 4, 1, 2, 5, 1))
    return log, lines_of(log.path), log.signed_head()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_tampering_goes_unnoticed(long_log, data, rehash):
    """Each kind of attack on a log of 20 entries, with head file and signed head in place."""
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
        # After hashing again, any entry since the last good signature may be the changed one.
        lowest, expected = max([s + 1 for s in signed if s < same], default=0), same
    log.path.write_bytes(b"".join(changed))
    result = verify(log.path, KEY.public, [point])
    assert not result.ok
    lowest = expected if lowest is None else lowest
    assert lowest <= result.first_broken <= expected, (kind, i, result)


def test_a_cut_at_a_signed_entry_shows_against_head_file_or_signed_head_only(tmp_path, make, lines_of):
    log = make(tmp_path, (1, 2, 1))
    point = log.signed_head()
    log.path.write_bytes(b"".join(lines_of(log.path)[:3]))
    assert verify(log.path, KEY.public).first_broken == 3
    log.path.with_name("audit.jsonl.head").unlink()
    assert verify(log.path, KEY.public, [point]).first_broken == 3
    result = verify(log.path, KEY.public)
    assert result.ok and "no head file" in result.notes[0]


def test_a_log_is_not_another_institutions_nor_of_another_key(tmp_path, make, lines_of):
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


def test_entries_hashed_right_but_not_signed_at_the_end_are_not_vouched_for(tmp_path, make, lines_of, rehash):
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


def test_an_entry_hashed_again_alone_is_named_or_an_earlier_one_that_no_signature_covers(
    tmp_path, make, lines_of, rehash
):
    log = make(tmp_path, (1, 4))
    lines = lines_of(log.path)
    plain = json.loads(lines[2])
    plain["bytes"] += 1
    lines[2] = json.dumps(plain, separators=(",", ":")).encode() + b"\n"
    log.path.write_bytes(b"".join([*rehash(lines, 2)[:3], *lines[3:]]))
    result = verify(log.path, KEY.public)
    assert (result.ok, result.first_broken) == (False, 1)
    assert "entry 3 does not follow" in result.why


def test_an_append_under_way_is_waited_for_and_not_taken_for_a_torn_tail(tmp_path, make):
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


# Both formats in one trail.

ATTEMPT = "0123456789abcdef"


def key_of(folder, name):
    return bytes.fromhex((folder / f"{name}.public").read_text(encoding="ascii"))


def test_trails_of_format_1_verify(format_1):
    """Files that a version before format 2 wrote, daily signed heads and head file among them."""
    for name, count in (("tax", 20), ("bank", 12)):
        path, key = format_1 / f"{name}.jsonl", key_of(format_1, name)
        head = SignedHead.from_json((format_1 / f"{name}.checkpoint.json").read_text(encoding="utf-8"))
        found = verify(path, key, [head], name)
        assert (found.ok, found.entries, head.count) == (True, count, count)
        assert {entry.format for entry in read(path)} == {1}
    assert verify(format_1 / "tax.jsonl", key_of(format_1, "tax")).notes == (
        "entry 12: clock set back, it showed 2026-05-04T09:00:59.000Z",
        "entry 15: torn tail",
        "entry 16: head file made anew",
    )


def test_flipped_bytes_of_a_trail_of_format_1_are_found_at_their_entry(format_1, lines_of):
    path, key = format_1 / "tax.jsonl", key_of(format_1, "tax")
    content, lines = path.read_bytes(), lines_of(path)
    ends = [sum(map(len, lines[: i + 1])) for i in range(len(lines))]
    for place in range(0, len(content), 61):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        assert verify(path, key).first_broken == next(i for i, end in enumerate(ends) if place < end), place


def test_a_trail_of_format_1_goes_on_in_format_2(format_1, draft):
    """The store of an institution that was updated: found, appended to and checked as before."""
    path, before = format_1 / "tax.jsonl", (format_1 / "tax.jsonl").read_bytes()
    key = IdentityKey(bytes.fromhex((format_1 / "tax.private").read_text(encoding="ascii")))
    log = AuditLog(path, key, "tax")
    assert [head.time[:10] for head in log.signed_heads()] == ["2026-05-04", "2026-05-05"]
    assert [head.count for head in log.witnessed("bank")] == [2]
    first, second = log.append([draft(1), draft(2)])
    assert path.read_bytes().startswith(before)
    assert (first.index, first.format, first.previous) == (20, 2, list(read(path))[19].hash)
    assert [entry.format for entry in log.entries()] == [1] * 20 + [2] * 2
    assert list(log.entries(format=2)) == [first, second]
    head = SignedHead.from_json((format_1 / "tax.checkpoint.json").read_text(encoding="utf-8"))
    assert verify(path, key.public, [head, log.signed_head()], "tax").ok


def test_a_trail_of_format_1_is_compared_and_summed_up(format_1):
    trails = {name: list(read(format_1 / f"{name}.jsonl")) for name in ("tax", "bank")}
    (found,) = crosscheck(trails, ATTEMPT)
    assert (found.sender, found.receiver, found.differs) == ("tax", "bank", ("digest", "bytes"))
    assert found.sent and found.received and (found.sent.index, found.received.index) == (3, 6)
    rows = disclosures(trails["tax"], ATTEMPT)
    assert [(row.counterparty, row.kind, row.mu) for row in rows] == [
        ("bank", "masked matrix", 0.0),
        ("bank", "partial scores", 0.0),
        ("hub", "agreement, public columns, row count, budget left, keys", 0.0),
        ("hub", "charged, not sent (gram)", 0.4),
        ("hub", "noisy sums (counts)", 0.3),
        ("hub", "noisy sums (evaluation)", float("inf")),
        ("hub", "refusal", 0.0),
    ]
    bank, hub = usage_rows(trails["tax"])
    assert (bank.scores, bank.bytes_in, bank.bytes_out) == (20, 40, 280)
    assert (hub.requests, hub.releases, hub.refusals, hub.rows) == (5, 3, 1, 120)
    assert (hub.mu, hub.bytes_in, hub.bytes_out) == (float("inf"), 3520, 3240)


@settings(max_examples=25, deadline=None)
@given(formats=st.lists(st.sampled_from([1, 2]), min_size=1, max_size=6), data=st.data())
def test_a_chain_of_both_formats_holds_and_no_flip_goes_unnoticed(
    tmp_path_factory, formats, data, draft, make, lines_of, old_append
):
    """Appends by both versions in any order, as after an update that was taken back for a while."""
    path = make(tmp_path_factory.mktemp("mixed"), (1,)).path
    for number, version in enumerate(formats):
        drafts = [draft(number), draft(number + 100)][: data.draw(st.integers(1, 2))]
        if version == 1:
            old_append(path, KEY, [{**one, "kind": "noisy sums, as prose"} for one in drafts])
        else:
            AuditLog(path, KEY, "tax").append(drafts)
    head = AuditLog(path, KEY, "tax").signed_head()
    found = verify(path, KEY.public, [head])
    assert (found.ok, found.entries) == (True, head.count)
    assert {entry.format for entry in read(path)} == {2, *formats}
    lines = lines_of(path)
    i = data.draw(st.integers(0, len(lines) - 1))
    line = bytearray(lines[i])
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(b"".join([*lines[:i], bytes(line), *lines[i + 1 :]]))
    assert verify(path, KEY.public, [head]).first_broken == i


def test_an_entry_of_a_later_format_is_named_and_never_cut_off(tmp_path, make, draft):
    """A later version appended while this one had the log open: it must not be taken for a torn tail."""
    log = make(tmp_path, (1,))
    content = log.path.read_bytes() + b'{"format":3,"of":"a later version"}\n'
    log.path.write_bytes(content)
    found = verify(log.path, KEY.public)
    assert (found.ok, found.first_broken) == (False, 1)
    assert "update fedrisk" in found.why
    with pytest.raises(StoreError, match="entry 1 .*update fedrisk"):
        list(read(log.path))
    for call in (lambda: log.append([draft()]), lambda: AuditLog(log.path, KEY, "tax")):
        with pytest.raises(StoreError, match="cannot be appended to: entry 1 .*update fedrisk"):
            call()
    assert log.path.read_bytes() == content
