"""Tokens of one question, checked together: each row is decided as if it were alone, whatever stands beside it."""

import base64
import itertools
import json
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.clients.node import Node
from fedrisk.privacy.serving_policy import Register, ServingPolicy
from fedrisk.serving import consent
from fedrisk.serving.asking import Asking
from fedrisk.serving.book import DAY, Book
from fedrisk.serving.consent import Consents
from fedrisk.serving.local_relay import LocalRelay
from support.serving import HOLDERS, IDS, Consortium

NOW = int(time.time())
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3)]
PUBLIC = [key.public_key().public_bytes_raw().hex() for key in KEYS]
POLICY = ServingPolicy(registers=[Register(name="r", key=key) for key in PUBLIC[:2]], consent_days=31)
CLAIMS = {"iss": "r", "aud": "bank", "purpose": "credit_scoring", "iat": NOW - DAY, "exp": NOW + DAY}


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(enterprise, jti, key=0, **changes):
    parts = {"alg": "EdDSA"}, CLAIMS | {"sub": enterprise, "jti": jti} | changes
    text = ".".join(b64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{b64(KEYS[key].sign(text.encode()))}"


GOOD = [token(f"E{k}", f"g{k}", k % 2, uses=k + 1) for k in range(4)]
TOKENS = [
    *GOOD,
    token("E0", "g0", 2),  # a stranger's, with the jti of a good one
    token("E1", "b1", aud="bank_b"),
    token("E2", "b2", exp=NOW - 61),
    GOOD[3][:-2] + ("AA" if GOOD[3][-2:] != "AA" else "Ag"),
    ".".join((*GOOD[0].split(".")[:2], GOOD[1].split(".")[2])),
    "",
    "x",
]
ASKED = {"asker": "bank", "purpose": "credit_scoring", "now": NOW}


def check(tokens, ids, known=lambda marks: set()):
    return Consents(POLICY, secret=b"s" * 32, known=known).check(tokens, ids, **ASKED)


ALONE = {(t, f"E{k}"): check([t], [f"E{k}"])[0] for t in TOKENS for k in range(4)}


def test_what_is_compared_with_is_right():
    codes = [ALONE[t, f"E{k}"].code for t, k in zip(TOKENS, (0, 1, 2, 3, 0, 1, 2, 3, 0, 0, 0), strict=True)]
    assert codes[:7] == ["", "", "", "", "consent_register", "consent_bank", "consent_expired"]
    assert codes[7:] == ["consent_register", "consent_register", "consent_missing", "consent_form"]
    assert sum(one.code == "" for one in ALONE.values()) == len(GOOD)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(TOKENS), st.integers(0, 3).map("E{}".format)), max_size=25),
    st.sets(st.sampled_from(GOOD)),
)
def test_a_row_is_decided_as_if_it_were_alone(rows, seen):
    """In any order, any number of times, with any of the good ones known: the same codes, digests, uses, keys."""
    marks = {one.mark for (text, _), one in ALONE.items() if text in seen and one.mark}
    found = check([t for t, _ in rows], [k for _, k in rows], known=lambda asked: marks & set(asked))
    expected = [ALONE[row] for row in rows]
    assert found == [one._replace(mark=b"") if one.mark in marks else one for one in expected]


def test_a_token_that_names_no_key_is_verified_once_whichever_key_signed(monkeypatch):
    """Under two pinned keys the one that signed is found by the mark, before the other one is tried."""
    counted, real = [], consent.Token.signed_by
    monkeypatch.setattr(consent.Token, "signed_by", lambda *a: counted.append(a[1]) or real(*a))
    (first,) = check(GOOD[1:2], ["E1"])
    assert counted == PUBLIC[:2]
    (again,) = check(GOOD[1:2], ["E1"], known=lambda asked: {first.mark} & set(asked))
    assert (again.code, again.key, counted) == ("", PUBLIC[1], PUBLIC[:2])


# --- at a holder --------------------------------------------------------------------------------------------


@pytest.fixture
def ask(tmp_path):
    made = Consortium(tmp_path / "c", values=dict.fromkeys(HOLDERS, (0.0, 1.0, 2.0, 0.0, 1.0, 2.0)))
    keys = ", ".join(f'{{ name = "r", key = "{key}" }}' for key in PUBLIC[:2])
    made.write("court", (0.0, 1.0, 2.0, 0.0, 1.0, 2.0), consent='"token"', registers=f"[{keys}]")
    relay = LocalRelay(made.paths)
    asking = Asking(Node.open(made.paths["bank"]), relay)
    yield lambda ids, tokens: asking.ask(made.part(), ids, purpose="credit_scoring", consents=tokens)
    relay.close()


@pytest.mark.parametrize("shift", [0, 4])
def test_one_bad_token_takes_nothing_from_the_good_ones(ask, shift):
    """Points of three good rows, and a code in each bad one, wherever it stands; also once marks are kept."""
    good = {k: token(IDS[k], f"g{k}", k % 2, uses=2) for k in (0, 1, 2)}
    bad = {3: good[0], 4: token(IDS[4], "b", 2), 5: "x"}
    codes = {3: "consent_enterprise", 4: "consent_register", 5: "consent_form"}
    order = [(k + shift) % 6 for k in (3, 0, 4, 2, 5, 1)]
    for _ in range(2):
        sums = ask([IDS[k] for k in order], [(good | bad)[k] for k in order])
        assert sums.refused == {place: {"court": codes[k]} for place, k in enumerate(order) if k in bad}
        points = dict(zip(order, sums.columns["points"].tolist(), strict=True))
        assert [points[k] for k in range(6)] == [0, 111, 222, 0, 0, 0]
    used = ask([IDS[k] for k in order], [(good | bad)[k] for k in order])
    assert {order[place]: code["court"] for place, code in used.refused.items()} == codes | dict.fromkeys(
        good, "consent_used"
    )


def test_a_jti_that_a_register_gave_twice_is_used_as_often_as_the_stricter_token_says(ask):
    """In whichever order the two stand in one question."""
    for name, uses in (("a", (1, 9)), ("b", (9, 1))):
        pair = [token(IDS[k], name, uses=n) for k, n in enumerate(uses)]
        assert ask(IDS[:2], pair).refused == {}
        assert ask(IDS[:2], pair).refused == {k: {"court": "consent_used"} for k in (0, 1)}


def test_two_connections_at_once_use_a_token_no_more_often_than_it_says(tmp_path):
    """As two processes have them: each looks and counts within one transaction."""
    books = [Book.open(tmp_path / "serving", lambda: None) for _ in range(2)]
    gate, taken = threading.Barrier(8), []

    def work(k):
        gate.wait()
        with books[k % 2].question(NOW) as page:
            if not page.used_up({"token": 3}, str(k)):
                page.use(["token", "token"], str(k))
                page.verified({b"m" * 32: PUBLIC[0]})
                taken.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 3
    assert all(book.verified([b"m" * 32, b"n" * 32]) == {b"m" * 32} for book in books)
    for book in books:
        book.close()


def test_marks_of_all_signers_come_with_their_own_key(tmp_path):
    """Where a key is withdrawn, the marks of its tokens go and the others stay, also from one question."""
    book = Book.open(tmp_path / "serving", lambda: None)
    found = check(GOOD, [f"E{k}" for k in range(4)])
    assert [one.key for one in found] == list(itertools.islice(itertools.cycle(PUBLIC[:2]), 4))
    with book.question(NOW) as page:
        page.verified({one.mark: one.key for one in found})
    with book.question(NOW + 301, keys=PUBLIC[1:2]):
        pass
    assert book.verified([one.mark for one in found]) == {found[1].mark, found[3].mark}
    book.close()
