"""One list of survivors in a step: what a trainer signs, what it refuses, and every choice that a lying hub has."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations

import pytest

from fedrisk.errors import ProtocolError, StoreError
from fedrisk.secure import survivors as sv
from fedrisk.secure.identity import IdentityKey
from fedrisk.secure.step_keys import Terms
from fedrisk.secure.survivors import Record, Survivors

TERMS = Terms.of("d" * 64, "1", ["b0", "b1", "b2", "b3"], 2)
IDENTITIES = {name: IdentityKey.generate() for name in TERMS.trainers}
PINNED = {name: identity.public for name, identity in IDENTITIES.items()}
SENT = Record(sent=frozenset({0, 1}))
LISTS = Survivors.of(0, ["b0", "b1", "b2"], ["b3"])


def sign(name, lists=LISTS, terms=TERMS, record=SENT):
    return sv.confirm(IDENTITIES[name], name, terms, lists, record)


# --- what is signed -----------------------------------------------------------------------------------------


def test_signatures_of_the_threshold_suffice_and_fewer_do_not():
    signatures = {name: sign(name)[0] for name in LISTS.survivors}
    sv.check_confirmed(TERMS, LISTS, signatures, PINNED)
    sv.check_confirmed(TERMS, LISTS, {**signatures, "b3": b"", "x": b""}, PINNED)  # of nobody: not looked at
    for missing in signatures:
        with pytest.raises(
            ProtocolError, match="2 trainers have confirmed the survivors of step 0 and 3 must"
        ):
            sv.check_confirmed(TERMS, LISTS, {n: s for n, s in signatures.items() if n != missing}, PINNED)


def test_a_signature_is_for_one_trainer_step_attempt_study_view_and_list():
    right = {name: sign(name)[0] for name in LISTS.survivors}
    others = [
        sign("b1")[0],
        sign("b0", replace(LISTS, step=1))[0],
        sign("b0", Survivors.of(0, TERMS.trainers, []))[0],
        sign("b0", Survivors.of(0, ["b0", "b1", "b3"], ["b2"]))[0],
        *(
            sign("b0", terms=replace(TERMS, **{field: value}))[0]
            for field, value in (
                ("attempt", "2"),
                ("study_digest", "e" * 64),
                ("steps", 3),
                ("view", "v"),
            )
        ),
        b"",
        bytes(64),
    ]
    assert len(set(others)) == len(others)
    for other in others:
        with pytest.raises(ProtocolError, match="have confirmed"):
            sv.check_confirmed(TERMS, LISTS, {**right, "b0": other}, PINNED)
    foreign = {**PINNED, "b0": IdentityKey.generate().public}
    with pytest.raises(ProtocolError, match="have confirmed"):
        sv.check_confirmed(TERMS, LISTS, right, foreign)


def test_names_that_run_together_are_other_lists():
    terms = Terms.of("d" * 64, "1", ["a", "ab", "b"], 1)
    signed = [
        sv._statement("a", terms, Survivors(0, *lists))
        for lists in (
            (("a", "ab"), ("b",)),
            (("aa", "b"), ("b",)),
            (("a",), ("ab", "b")),
            (("a", "ab", "b"), ()),
        )
    ]
    assert len(set(signed)) == 4


# --- one list in a step -------------------------------------------------------------------------------------


def test_the_same_list_is_signed_alike_and_another_one_is_refused():
    signature, record = sign("b0")
    assert record == Record(SENT.sent, {0: ("b3",)})
    assert sign("b0", record=record) == (signature, record)
    for lost in ([], ["b1"], ["b2"]):
        lists = Survivors.of(0, set(TERMS.trainers) - set(lost), lost)
        with pytest.raises(ProtocolError, match="one list"):
            sign("b0", lists, record=record)
    # and the other way round: whoever answered that all survived confirms no loss
    everybody = SENT.with_named(Survivors.of(0, TERMS.trainers, []))
    with pytest.raises(ProtocolError, match="one list"):
        sign("b0", record=everybody)
    sign("b0", replace(LISTS, step=1), record=record)  # another step is another list


def test_lists_that_are_refused():
    def ask(survivors, lost, record=SENT, step=0):
        sign("b0", Survivors.of(step, survivors, lost), record=record)

    with pytest.raises(ProtocolError, match="every trainer once"):
        ask(["b0", "b1", "b2", "b3"], ["b3"])
    with pytest.raises(ProtocolError, match="every trainer once"):
        ask(["b0", "b1", "b2"], [])
    with pytest.raises(ProtocolError, match="every trainer once"):
        ask(["b0", "b1", "b2"], ["b3", "x"])
    with pytest.raises(ProtocolError, match="at least 3"):
        ask(["b0", "b1"], ["b2", "b3"])
    with pytest.raises(ProtocolError, match="not among the survivors"):
        ask(["b1", "b2", "b3"], ["b0"])
    with pytest.raises(ProtocolError, match="not among the survivors"):
        ask(TERMS.trainers, [], Record())  # it sent nothing in this step
    with pytest.raises(ProtocolError, match="steps 0 to 1"):
        ask(TERMS.trainers, [], step=2)
    with pytest.raises(ProtocolError, match="not among the trainers"):
        sv.confirm(IDENTITIES["b0"], "x", TERMS, LISTS, SENT)


def test_records_come_back_from_json():
    record = SENT.with_named(LISTS).with_sent(5)
    assert record == Record(frozenset({0, 1, 5}), {0: ("b3",)})
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))) == record
    for damaged in ({"sent": [0]}, {"sent": ["x"], "named": {}}, {"sent": [], "named": [1]}):
        with pytest.raises(StoreError):
            Record.from_dict(damaged)


# --- every choice of a lying hub, without cryptography ------------------------------------------------------
#
# Trainers are numbers, sets of them are frozensets; the last c collude, which is all cases, as names do not matter. A
# trainer that confirms a list which stays below t signatures gives nothing, so the hub has only lists with t signatures
# to choose, and who of the honest survivors confirms each; all others are told that everybody survived, as
# more shares never hurt the hub.


def some(of, least=0):
    return map(frozenset, chain.from_iterable(combinations(sorted(of), k) for k in range(least, len(of) + 1)))


def choices(n, t, honest, told=(), start=0) -> Iterator[tuple]:
    """All ways to have lists confirmed: ((list, its honest confirmers), ...)."""
    yield told
    lists = [s for s in some(range(n), t) if len(s) < n]
    free = honest - frozenset().union(*(who for _, who in told))
    for k in range(start, len(lists)):
        survivors = lists[k]
        colluding = len(survivors - honest)
        for who in some(free & survivors, max(0, t - colluding)):
            yield from choices(n, t, honest, (*told, (survivors, who)), k + 1)


def opened(n, t, honest, told):
    """(honest trainers with an open seed, those with an open key) from all shares that the hub gets."""
    everybody = frozenset(range(n))
    given = [*told, (everybody, honest - frozenset().union(*(who for _, who in told)))]
    colluders = n - len(honest)

    def least(v, named):
        return colluders + sum(len(who) for survivors, who in given if (v in survivors) == named) >= t

    return {v for v in honest if least(v, True)}, {v for v in honest if least(v, False)}


def breach(n, t, honest, told):
    """Whether a single vector, or a total of fewer than t vectors with the colluders' among them, comes open.

    A hub may leave a key that it could open unused. Pair masks between two trainers whose keys are closed are in a sum with
    both or not at all; a closed seed keeps a vector out of every sum.
    """
    seeds, keys = opened(n, t, honest, told)
    if seeds & keys:
        return True
    closed = honest - keys
    return bool(closed) and closed <= seeds and len(closed) < t - (n - len(honest))


CASES = [(n, t, c) for n in range(2, 7) for t in range(n // 2 + 1, n + 1) for c in range(t)]


@pytest.mark.parametrize(("n", "t", "c"), [case for case in CASES if 2 * case[1] > case[0] + case[2]])
def test_no_hub_opens_fewer_than_the_threshold(n, t, c):
    honest = frozenset(range(n - c))
    seen = 0
    for told in choices(n, t, honest):
        assert len(told) <= 1  # (a): shares of keys are given for one list
        seeds, keys = opened(n, t, honest, told)
        assert not seeds & keys  # (b)
        if told:
            assert keys <= honest - told[0][0] and seeds <= told[0][0] & honest
        assert not breach(n, t, honest, told)  # (c)
        seen += 1
    # every list was tried, and that everybody survived
    assert seen > sum(len(s) < n for s in some(range(n), t))


@pytest.mark.parametrize(("n", "t", "c"), [case for case in CASES if 2 * case[1] <= case[0] + case[2]])
def test_the_condition_is_sharp(n, t, c):
    """With one colluder more some hub opens a single vector or a smaller total."""
    honest = frozenset(range(n - c))
    assert any(breach(n, t, honest, told) for told in choices(n, t, honest))


def test_without_confirmations_two_of_five_come_open():
    """The rule before: everybody answers the list that it is told. The module's old example, n = 5, t = 3."""
    lost = ({2, 3}, {4}, {3, 4}, {2, 4}, {2, 3})
    told = tuple((frozenset(range(5)) - gone, frozenset({v})) for v, gone in enumerate(lost))
    assert opened(5, 3, frozenset(range(5)), told) == ({0, 1}, {2, 3, 4})
    assert breach(5, 3, frozenset(range(5)), told)
