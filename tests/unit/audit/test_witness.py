"""What is kept of other institutions' heads, and the marks that contradictions leave."""

import json
from dataclasses import replace

import pytest

from fedrisk.audit.signed_head import SignedHead, Stated
from fedrisk.audit.witness import answer_marks, answered_until, contradiction, latest_witnessed, marks_of
from fedrisk.errors import EnvelopeError, ProtocolError, StoreError
from fedrisk.secure.identity import IdentityKey

KEY, OTHER = IdentityKey(b"\1" * 32), IdentityKey(b"\2" * 32)


def head(count=5, second=0, entries=2, mu=0.4, content="a", key=OTHER):
    """A head of the bank, signed."""
    draft = SignedHead(
        count=count,
        hash=content * 64,
        time=f"2026-05-01T10:00:{second:02d}.000Z",
        institution="bank",
        signature="",
        entries=entries,
        lifetime_mu=mu,
        attempt=None if entries is None else f"{second:032d}",
    )
    return replace(draft, signature=key.sign(draft.statement()).hex())


@pytest.mark.parametrize(
    ("late", "says"),
    [
        (head(second=1), ""),
        (head(count=6, second=1, entries=3, mu=0.5, content="b"), ""),
        (head(count=4, second=1, content="b"), "5 entries of the trail, and later 4"),
        (head(second=1, content="b"), "two different trails of 5 entries"),
        (head(count=9, second=1, entries=1, content="b"), "2 entries of the ledger, and later 1"),
        (head(count=9, second=1, mu=0.3, content="b"), "0.4 mu ever charged, and later 0.3"),
        (head(count=9, second=1, entries=None, mu=None, content="b"), ""),  # of an earlier version
        (head(count=4, second=1, entries=None, mu=None, content="b"), "5 entries of the trail, and later 4"),
    ],
)
def test_what_contradicts(late, says):
    assert contradiction(head(), late) == says
    assert contradiction(late, head()) == says


def test_an_earlier_head_that_comes_later_is_none():
    """Two studies at once: the head that was signed first may come last."""
    assert contradiction(head(count=6, second=9, entries=4), head(count=5, second=8, entries=2)) == ""


def test_heads_are_kept_and_the_latest_is_found(tmp_path, make):
    log = make(tmp_path)
    assert latest_witnessed(log.path, "bank") is None
    heads = head(), head(count=7, second=1), head(count=6, second=0)
    for one in (*heads, heads[0]):
        log.witness(one, OTHER.public)
    assert set(log.witnessed("bank")) == set(heads)
    assert latest_witnessed(log.path, "bank") == heads[1]
    assert log.witnessed("../bank") == ()
    with pytest.raises(EnvelopeError):
        log.witness(head(count=8, second=2), KEY.public)
    assert marks_of(log.path, "bank") == ()


def test_a_contradiction_is_marked_kept_and_not_healed_by_a_longer_trail(tmp_path, make):
    log = make(tmp_path)
    log.witness(head(), OTHER.public)
    twin = head(count=3, second=1, content="b")
    with pytest.raises(ProtocolError, match=r"contradict each other \(5 entries of the trail, and later 3\)"):
        log.witness(twin, OTHER.public)
    (mark,) = marks_of(log.path, "bank")
    assert (mark.kept, mark.came) == (head(), twin)
    assert twin in log.witnessed("bank")
    log.witness(head(count=9, second=2, content="b"), OTHER.public)
    assert marks_of(log.path, "bank") == (mark,)


def test_an_answer_keeps_the_evidence_and_goes_on_from_the_head_that_came(tmp_path, make):
    log = make(tmp_path)
    log.witness(head(), OTHER.public)
    twin = head(count=3, second=1, entries=1, content="b")
    with pytest.raises(ProtocolError):
        log.witness(twin, OTHER.public)
    (mark,) = marks_of(log.path, "bank")
    assert answered_until(log.path, "bank") == ""
    answer_marks(log.path, "bank", reason="disk lost", who="a person", time="2026-05-01T09:00:00.000Z")
    assert marks_of(log.path, "bank") == ()
    assert log.witnessed("bank") == (twin,)
    assert answered_until(log.path, "bank") == twin.time  # later than the answer's own time here
    (kept,) = (tmp_path / "audit.jsonl.contradictions").rglob("*.json")
    plain = json.loads(kept.read_text())
    assert (plain["reason"], plain["who"], plain["kept"]["hash"]) == ("disk lost", "a person", mark.kept.hash)
    assert len(list((tmp_path / "audit.jsonl.witnessed").rglob("answered/*.json"))) == 1
    log.witness(head(count=4, second=2, entries=1, content="c"), OTHER.public)
    with pytest.raises(ProtocolError):
        log.witness(head(count=4, second=3, entries=0, content="c"), OTHER.public)


def test_a_mark_that_cannot_be_read_is_not_taken_for_none(tmp_path, make):
    log = make(tmp_path)
    log.witness(head(), OTHER.public)
    with pytest.raises(ProtocolError):
        log.witness(head(count=3, second=1, content="b"), OTHER.public)
    (file,) = (tmp_path / "audit.jsonl.contradictions").rglob("*.json")
    for damage in ("", "[]", "{}", file.read_text().replace('"count":3', '"count":"3"')):
        file.write_text(damage)
        with pytest.raises(StoreError, match="must not be lost"):
            marks_of(log.path, "bank")


def test_stated_heads_of_one_log_never_contradict_each_other(tmp_path, make, draft):
    bank = make(tmp_path, key=OTHER, institution="bank")
    heads = []
    for number in range(4):
        bank.append([draft()])
        heads.append(
            bank.signed_head(Stated(entries=number, lifetime_mu=number / 10, attempt=f"{number:032d}"))
        )
    assert not [1 for a in heads for b in heads if contradiction(a, b)]
