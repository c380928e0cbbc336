"""Matching at the hub: small hand-made cases, then properties, then frequencies."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.alignment.matching import BankList, left_out_likelihood_ratio, match, overlaps
from fedrisk.errors import ConfigError, DataError, ProtocolError

KEYS = {"holdout_key": b"h" * 32, "draw_key": b"d" * 32}
PLAIN = {**KEYS, "holdout_percent": 0, "inclusion_probability": 1.0}


def names(*numbers: int) -> np.ndarray:
    """Pseudonyms of the enterprises with these numbers."""
    digests = [hashlib.sha256(b"%d" % n).digest() for n in numbers]
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)


def by_row(found: BankList, values: np.ndarray) -> list[int]:
    """Values of a list, back in the order of the bank's table."""
    out = np.empty(len(values), dtype=np.int64)
    out[found.rows] = values
    return out.tolist()


def test_rows_of_bank_and_holders():
    found = match({"bank": names(5, 3, 8)}, {"tax": names(8, 1, 5), "power": names(2)}, **PLAIN)["bank"]
    assert sorted(found.rows.tolist()) == [0, 1, 2]
    assert by_row(found, found.holders["tax"]) == [2, -1, 0]
    assert by_row(found, found.holders["power"]) == [-1, -1, -1]
    assert by_row(found, found.use) == [0, 0, 0]
    assert (found.rows.dtype, found.use.dtype) == (np.int64, np.uint8)
    assert found.holders["tax"].dtype == np.int64


def test_pseudonyms_that_differ_in_one_byte_do_not_meet():
    near = [names(1).copy() for _ in range(32)]
    for i, one in enumerate(near):
        one[0, i] ^= 1
    found = match({"bank": names(1)}, {"tax": np.concatenate(near)}, **PLAIN)["bank"]
    assert found.holders["tax"].tolist() == [-1]


def test_trailing_zero_bytes_count():
    zero, one = np.zeros((1, 32), np.uint8), np.zeros((1, 32), np.uint8)
    one[0, 31] = 1
    found = match({"bank": np.concatenate([zero, one])}, {"tax": one}, **PLAIN)["bank"]
    assert by_row(found, found.holders["tax"]) == [-1, 0]


def test_an_enterprise_at_several_banks_contributes_once():
    banks = {"a": names(*range(300)), "b": names(*range(200, 400)), "c": names(*range(250, 500))}
    found = match(banks, {}, **PLAIN)
    numbers = {"a": np.arange(300), "b": np.arange(200, 400), "c": np.arange(250, 500)}
    used = np.concatenate([numbers[n][found[n].rows[found[n].use != 2]] for n in banks])
    assert sorted(used.tolist()) == list(range(500))


def test_each_of_several_banks_is_drawn_equally_often():
    n = 6000
    banks = {name: names(*range(n)) for name in ("a", "b", "c")}
    found = match(banks, {}, **PLAIN)
    for name in banks:  # binomial(6000, 1/3), 6 standard deviations of 36.5: two-sided error 2e-9 each
        assert abs(np.count_nonzero(found[name].use == 0) - n / 3) < 6 * 36.6


def test_frequencies_of_hold_out_and_subsample_are_independent():
    n = 10000
    found = match({"a": names(*range(n))}, {}, **KEYS, holdout_percent=30, inclusion_probability=0.8)["a"]
    for value, share in ((0, 0.56), (1, 0.24), (2, 0.2)):  # 6 standard deviations: error 2e-9 each
        assert abs(np.mean(found.use == value) - share) < 6 * math.sqrt(share * (1 - share) / n)


def test_hold_out_is_the_keyed_hash_modulo_100():
    found = match({"a": names(*range(200))}, {}, **{**PLAIN, "holdout_percent": 30})["a"]

    def held(row: np.ndarray) -> bool:
        h = hashlib.blake2b(row.tobytes(), digest_size=8, key=b"h" * 32, person=b"fedrisk/hold-out")
        return int.from_bytes(h.digest(), "little") % 100 < 30

    assert by_row(found, found.use) == [int(held(r)) for r in names(*range(200))]


def test_hold_out_is_the_same_in_every_study_and_at_every_bank():
    numbers = list(range(400))
    one = match({"a": names(*numbers)}, {}, **{**PLAIN, "holdout_percent": 30})["a"]
    later = {**PLAIN, "holdout_percent": 30, "draw_key": b"e" * 32}
    two = match({"b": names(*numbers[::-1])}, {"tax": names(7)}, **later)["b"]
    assert by_row(one, one.use) == by_row(two, two.use)[::-1]


def test_draws_change_with_their_keys():
    rows = {"a": names(*range(400))}

    def uses(**changed: object) -> list[int]:
        found = match(rows, {}, **{**KEYS, "holdout_percent": 30, "inclusion_probability": 0.5, **changed})[
            "a"
        ]
        return by_row(found, found.use)

    assert uses() == uses()
    assert uses() != uses(holdout_key=b"x" * 32)
    assert uses() != uses(draw_key=b"x" * 32)


def test_pseudonyms_that_share_a_first_word_are_distinguished():
    """The order by the first eight bytes alone would part the two that are equal."""
    alike = names(*range(6)).copy()
    alike[:, :8] = 7
    found = match({"bank": alike[[2, 0, 1]]}, {"tax": alike[[5, 1, 2, 3]], "power": names(9)}, **PLAIN)[
        "bank"
    ]
    assert by_row(found, found.holders["tax"]) == [2, -1, 1]
    with pytest.raises(DataError, match="1 duplicate"):
        match({"bank": alike[[2, 0, 2]]}, {"tax": alike}, **PLAIN)


def test_sample_of_training_rows():
    banks = {"a": names(*range(3000)), "b": names(*range(2500, 4000)), "c": names(*range(9000, 9003))}
    how = {**KEYS, "holdout_percent": 30, "inclusion_probability": 0.9, "sample_key": b"s" * 32}
    found = match(banks, {"tax": names(1)}, **how, sample_rows=500)
    sizes = {name: int(rows.sample.sum()) for name, rows in found.items()}
    training = {name: int((rows.use == 0).sum()) for name, rows in found.items()}
    total = sum(training.values())
    assert sizes == {n: math.ceil(k * 500 / total) for n, k in training.items()} and sizes["c"] >= 1
    assert all((rows.use[rows.sample == 1] == 0).all() for rows in found.values())
    again = match(banks, {}, **how, sample_rows=500)
    other = match(banks, {}, **{**how, "sample_key": b"t" * 32}, sample_rows=500)
    mine = by_row(found["a"], found["a"].sample)
    assert by_row(again["a"], again["a"].sample) == mine != by_row(other["a"], other["a"].sample)
    for rows in (total, None):  # enough room for all, or no sample wanted
        assert all(r.sample is None for r in match(banks, {}, **how, sample_rows=rows).values())
    with pytest.raises(ConfigError, match="sample_key has 3 bytes"):
        match(banks, {}, **{**how, "sample_key": b"abc"}, sample_rows=500)


def test_sample_is_that_of_the_least_hashes():
    found = match({"a": names(*range(200))}, {}, **PLAIN, sample_key=b"s" * 32, sample_rows=50)["a"]

    def number(row: np.ndarray) -> int:
        digest = hashlib.blake2b(row.tobytes(), digest_size=8, key=b"s" * 32, person=b"fedrisk/sample")
        return int.from_bytes(digest.digest(), "little")

    hashed = np.array([number(row) for row in names(*range(200))], dtype=np.uint64)
    assert by_row(found, found.sample) == (hashed.argsort().argsort() < 50).astype(int).tolist()


def test_out_of_time_flags_replace_the_draw():
    flags = {"a": np.array([1, 0, 1], np.uint8)}
    found = match({"a": names(1, 2, 3)}, {}, **{**PLAIN, "holdout_percent": 99}, out_of_time=flags)["a"]
    assert by_row(found, found.use) == [1, 0, 1]


def test_out_of_time_is_decided_by_the_bank_that_contributes():
    banks = {"a": names(*range(60)), "b": names(*range(60))}
    flags = {"a": np.ones(60, np.uint8), "b": np.zeros(60, np.uint8)}
    found = match(banks, {}, **PLAIN, out_of_time=flags)
    assert set(found["a"].use.tolist()) == {1, 2}
    assert set(found["b"].use.tolist()) == {0, 2}


def test_any_old_hold_out_flag_wins_at_all_banks():
    banks = {"a": names(1, 2), "b": names(3, 4)}
    old = {"tax": np.array([True, False, True])}  # enterprises 4 and 1
    found = match(banks, {"tax": names(4, 2, 1)}, **PLAIN, old_holdout=old)
    assert by_row(found["a"], found["a"].use) == [1, 0]
    assert by_row(found["b"], found["b"].use) == [0, 1]


def test_an_old_flag_of_one_bank_holds_at_the_bank_that_contributes():
    banks = {"a": names(*range(60)), "b": names(*range(60))}
    old = {"a": np.ones(60, np.uint8)}
    found = match(banks, {}, **PLAIN, old_holdout=old, out_of_time={n: np.zeros(60, np.uint8) for n in banks})
    assert set(found["b"].use.tolist()) == {1, 2}


def test_the_order_is_fresh_unless_a_generator_is_given():
    rows = {"a": names(*range(100))}
    one, two = (match(rows, {}, **PLAIN)["a"].rows.tolist() for _ in range(2))
    assert one != two  # equal with chance 1 / 100!
    assert one != sorted(one)
    three, four = (
        match(rows, {}, **PLAIN, rng=np.random.default_rng(3))["a"].rows.tolist() for _ in range(2)
    )
    assert three == four


def test_duplicates_are_counted_and_not_shown():
    with pytest.raises(DataError, match="list of tax has 2 duplicate enterprises among 4") as caught:
        match({"a": names(1)}, {"tax": names(1, 2, 1, 1)}, **PLAIN)
    assert names(1).tobytes().hex()[:8] not in str(caught.value)


def test_empty_intersections_are_reported():
    found = match({"a": names(1, 2), "b": names(5)}, {"tax": names(2, 3), "power": names(3)}, **PLAIN)
    assert overlaps(found) == {"a": {"tax": 1, "power": 0}, "b": {"tax": 0, "power": 0}}


def test_empty_lists_and_no_holders():
    found = match({"a": names(), "b": names(1)}, {}, **PLAIN)
    assert found["a"].rows.shape == found["a"].use.shape == (0,)
    assert overlaps(found) == {"a": {}, "b": {}}
    assert list(match({"b": names(), "a": names()}, {"t": names()}, **PLAIN)) == ["b", "a"]


def test_lists_cannot_be_changed():
    found = match({"a": names(1, 2)}, {"tax": names(1)}, **PLAIN)["a"]
    for array in (found.rows, found.use, found.holders["tax"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"inclusion_probability": 0.0}, "inclusion_probability"),
        ({"inclusion_probability": 1.5}, "inclusion_probability"),
        ({"inclusion_probability": math.nan}, "inclusion_probability"),
        ({"holdout_percent": 100}, "holdout_percent"),
        ({"holdout_percent": -1}, "holdout_percent"),
        ({"holdout_key": b"short"}, "holdout_key"),
        ({"draw_key": b"x" * 65}, "draw_key"),
    ],
)
def test_parameters_out_of_bounds(changed, what):
    with pytest.raises(ConfigError, match=what):
        match({"a": names(1)}, {}, **{**PLAIN, **changed})


def test_malformed_messages():
    with pytest.raises(ConfigError, match="no bank"):
        match({}, {"tax": names(1)}, **PLAIN)
    with pytest.raises(ConfigError, match="both banks and holders"):
        match({"a": names(1)}, {"a": names(1)}, **PLAIN)
    for wrong in (np.zeros((2, 31), np.uint8), np.zeros(32, np.uint8), np.zeros((2, 32), np.int64)):
        with pytest.raises(ProtocolError, match="pseudonyms of tax"):
            match({"a": names(1)}, {"tax": wrong}, **PLAIN)
    for wrong in (np.array([0, 2], np.uint8), np.array([0], np.uint8), np.array([0.0, 1.0])):
        with pytest.raises(ProtocolError, match="flags of a"):
            match({"a": names(1, 2)}, {}, **PLAIN, out_of_time={"a": wrong})
        with pytest.raises(ProtocolError, match="flags of a"):
            match({"a": names(1, 2)}, {}, **PLAIN, old_holdout={"a": wrong})
    with pytest.raises(ProtocolError, match="0 of 1 banks"):
        match({"a": names(1)}, {}, **PLAIN, out_of_time={})
    with pytest.raises(ProtocolError, match="not part"):
        match({"a": names(1)}, {}, **PLAIN, old_holdout={"z": np.zeros(1, np.uint8)})


subsets = st.lists(st.integers(0, 25), unique=True, max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.lists(subsets, min_size=1, max_size=3), st.lists(subsets, max_size=2), st.floats(0.2, 1.0))
def test_against_dictionaries(banks, holders, probability):
    banks_of = {f"b{i}": names(*b) for i, b in enumerate(banks)}
    holders_of = {f"h{i}": names(*h) for i, h in enumerate(holders)}
    found = match(banks_of, holders_of, **KEYS, holdout_percent=40, inclusion_probability=probability)
    seen: list[int] = []
    for i, bank in enumerate(banks):
        one = found[f"b{i}"]
        order = [bank[r] for r in one.rows]
        assert sorted(order) == sorted(bank)
        for j, holder in enumerate(holders):
            where = {number: row for row, number in enumerate(holder)}
            assert one.holders[f"h{j}"].tolist() == [where.get(number, -1) for number in order]
        seen += [number for number, use in zip(order, one.use, strict=True) if use != 2]
    assert len(seen) == len(set(seen))
    if probability == 1:
        assert set(seen) == {number for bank in banks for number in bank}


def test_likelihood_ratio_of_being_left_out():
    assert left_out_likelihood_ratio(0.5, 1) == 1
    assert left_out_likelihood_ratio(0.5, 2) == pytest.approx(1.5)
    assert left_out_likelihood_ratio(0.8, 3) == pytest.approx((1 - 0.8 / 3) / 0.2)
    assert left_out_likelihood_ratio(1.0, 1) == 1
    assert left_out_likelihood_ratio(1.0, 2) == math.inf
    for probability, banks in ((0.0, 2), (1.1, 2), (0.5, 0)):
        with pytest.raises(ConfigError):
            left_out_likelihood_ratio(probability, banks)


def test_the_likelihood_ratio_is_that_of_the_draw():
    n, probability = 10000, 0.6
    banks = {"a": names(*range(2 * n)), "b": names(*range(n))}
    found = match(banks, {}, **KEYS, holdout_percent=0, inclusion_probability=probability)["a"]
    out = np.array(by_row(found, found.use)) == 2
    # 6 standard deviations of a mean of 10,000: error 2e-9 each
    assert abs(out[:n].mean() - (1 - probability / 2)) < 6 * math.sqrt(0.7 * 0.3 / n)
    assert abs(out[n:].mean() - (1 - probability)) < 6 * math.sqrt(0.6 * 0.4 / n)
    assert left_out_likelihood_ratio(probability, 2) == pytest.approx(0.7 / 0.4)
