"""Signed heads: as JSON and back, and those of other institutions."""

from dataclasses import asdict, replace

import pytest

from fedrisk.audit.signed_head import SignedHead
from fedrisk.errors import EnvelopeError, ProtocolError
from fedrisk.secure.identity import IdentityKey

KEY, OTHER = IdentityKey(b"\1" * 32), IdentityKey(b"\2" * 32)


def test_a_signed_head_survives_json_and_nothing_else(tmp_path, make):
    point = make(tmp_path).signed_head()
    assert SignedHead.from_json(point.to_json()) == point
    assert point.holds(KEY.public)
    for name, value in asdict(point).items():
        changed = replace(point, **{name: value + 1 if name == "count" else "0" + value[1:]})
        assert changed == point or not changed.holds(KEY.public)
    for text in ("", "[]", "{}", point.to_json().replace('"count":7', '"count":"7"')):
        with pytest.raises(EnvelopeError):
            SignedHead.from_json(text)


def test_signed_heads_of_others_are_kept_and_contradictions_shown(tmp_path, draft, make):
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
