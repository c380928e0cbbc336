"""Signed heads: as JSON and back, of this version and of earlier ones, and what they state."""

import json
from dataclasses import asdict, replace

import pytest

from fedrisk.audit.signed_head import SignedHead, Stated, coarse
from fedrisk.errors import EnvelopeError
from fedrisk.secure.identity import IdentityKey

KEY = IdentityKey(b"\1" * 32)
OLD = (
    '{"count":7,"hash":"abababababababababababababababababababababababababababababababab","time":"2026-05-01T10:00:00.000Z","institution":"tax",'
    '"signature":"fc194f858ca982b9cc3d204d673dc03eb2b8229a0e8756c8aca2d0b99896ce29'
    '5900303b6920e6ce0015e4b60f1b91e08754eec8d6131509f9dc0a65f30d4d08"}'
)


def test_a_signed_head_survives_json_and_nothing_else(tmp_path, make):
    point = make(tmp_path).signed_head()
    assert SignedHead.from_json(point.to_json()) == point
    assert point.holds(KEY.public)
    for name, value in json.loads(point.to_json()).items():
        changed = replace(point, **{name: value + 1 if name == "count" else "0" + value[1:]})
        assert changed == point or not changed.holds(KEY.public)
    for text in ("", "[]", "{}", point.to_json().replace('"count":7', '"count":"7"')):
        with pytest.raises(EnvelopeError):
            SignedHead.from_json(text)


def test_a_head_that_states_the_ledger_survives_json_and_every_field_is_signed(tmp_path, make):
    point = make(tmp_path).signed_head(Stated(entries=3, lifetime_mu=0.4, attempt="a" * 32))
    assert SignedHead.from_json(point.to_json()) == point
    assert point.holds(KEY.public)
    for name, value in asdict(point).items():
        changed = replace(point, **{name: value + 1 if isinstance(value, int | float) else value[1:]})
        assert not changed.holds(KEY.public), name
    without = replace(point, entries=None, lifetime_mu=None, attempt=None)
    assert not without.holds(KEY.public)  # nobody makes an old head of a new one
    for wrong in (
        point.to_json().replace('"entries":3', '"entries":-1'),
        point.to_json().replace('"lifetime_mu":0.4', '"lifetime_mu":NaN'),
        point.to_json().replace('"lifetime_mu":0.4', '"lifetime_mu":1'),
        point.to_json().replace('"entries":3,', ""),
    ):
        with pytest.raises(EnvelopeError):
            SignedHead.from_json(wrong)


def test_a_head_of_an_earlier_version_is_read_and_holds():
    """Signed by the version before heads stated the ledger's figures, with the key of 32 bytes of 1."""
    point = SignedHead.from_json(OLD)
    assert point.holds(KEY.public) and point.entries is None
    assert point.to_json() == OLD


def test_a_head_of_a_study_has_the_time_of_its_last_entry(tmp_path, make):
    """So that a clock that goes back a little between two studies makes no contradiction."""
    log = make(tmp_path)
    (*_, last) = log.entries()
    assert log.signed_head(Stated(entries=0, lifetime_mu=0.0, attempt="a" * 32)).time == last.time


@pytest.mark.parametrize("mu", [0.0, 0.05, 0.0999999, 0.1, 0.3, 0.7000000000000001, 1.1, 12.34, 1e6])
def test_figures_are_rounded_down_to_tenths_and_never_fall(mu):
    assert mu - 0.1 < coarse(mu) <= mu + 1e-6
    assert coarse(mu) == round(coarse(mu), 1)
    assert coarse(mu * (1 + 1e-12) + 1e-12) >= coarse(mu)
