"""A signature that was verified once is not verified again, and nothing else is spared.

Whoever shows a token, whatever lies in the book: what is decided is what would be decided without it.
"""

import base64
import contextlib
import json
from datetime import date

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.privacy.serving_policy import Register, ServingPolicy
from fedrisk.serving import consent
from fedrisk.serving.book import DAY, Book
from fedrisk.serving.consent import Consents

NOW = 1_800_000_000
ID = "91350100M000100Y43"
SECRET = b"s" * 32
KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
PINNED, STRANGE = (key.public_key().public_bytes_raw().hex() for key in (KEY, OTHER))
POLICY = ServingPolicy(registers=(Register(name="register", key=PINNED),), consent_days=31)
CLAIMS = {
    "iss": "register",
    "sub": ID,
    "aud": "bank",
    "purpose": "credit_scoring",
    "iat": NOW - DAY,
    "exp": NOW + 29 * DAY,
    "jti": "0f3a",
    "uses": 12,
}


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(key=KEY, **changes):
    text = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "EdDSA"}, CLAIMS | changes))
    return f"{text}.{b64(key.sign(text.encode()))}"


GOOD = signed()


@pytest.fixture
def counted(monkeypatch):
    """Texts whose signature was verified."""
    seen, real = [], consent.Token.signed_by
    monkeypatch.setattr(consent.Token, "signed_by", lambda one, key: seen.append(one.text) or real(one, key))
    return seen


def check(text=GOOD, policy=POLICY, *, known, secret=SECRET, enterprise=ID, **changes):
    asked = {"asker": "bank", "purpose": "credit_scoring", "now": NOW} | changes
    (found,) = Consents(policy, secret=secret, known=known).check([text], [enterprise], **asked)
    return found


def nothing(marks):
    return set()


MARK = check(known=nothing).mark


def good_one(marks):
    """Knows the good token alone."""
    return {MARK} & set(marks)


def everything(marks):
    """The worst that a book could say: that every signature was verified."""
    return set(marks)


def test_a_known_signature_is_not_verified_again(counted):
    first = check(known=nothing)
    assert (first.code, first.uses, first.mark, first.key) == ("", 12, MARK, PINNED)
    again = check(known=good_one)
    assert counted == [GOOD]
    assert (again.code, again.uses, again.digest) == ("", 12, first.digest)
    assert (again.mark, again.key) == (b"", PINNED)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("consent_expired", {"now": NOW + 30 * DAY}),
        ("consent_early", {"now": NOW - 2 * DAY}),
        ("consent_bank", {"asker": "bank_b"}),
        ("consent_enterprise", {"enterprise": "91350100M000100Y44"}),
        ("consent_purpose", {"purpose": "marketing"}),
        ("consent_long", {"policy": POLICY.model_copy(update={"consent_days": 7})}),
        ("consent_register", {"policy": ServingPolicy()}),
        ("consent_register", {"policy": ServingPolicy(registers=(Register(name="register", key=STRANGE),))}),
        ("consent_register", {"policy": ServingPolicy(registers=(Register(name="other", key=PINNED),))}),
        (
            "consent_register",
            {
                "policy": ServingPolicy(
                    registers=(Register(name="register", key=PINNED, until=date(2027, 1, 14)),)
                )
            },
        ),
    ],
)
def test_all_else_is_decided_anew(code, changes):
    """Expired since, another policy since, key changed or withdrawn since: as if it had never been seen."""
    for known in (nothing, good_one):
        found = check(known=known, **changes)
        assert (found.code, found.uses, found.mark) == (code, 0, b"")


def test_claims_are_read_anew_whatever_is_known():
    """A register signed nonsense: that its signature is known makes it no consent."""
    for changes in ({"sub": ""}, {"uses": 0}, {"exp": "later"}, {"jti": f"of {ID}"}):
        assert check(signed(**changes), known=everything).code == "consent_form"


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_known_token_vouches_for_no_other_text(data):
    """A forged token with the digest of a good one: same jti, so that book and trail know it as the same."""
    changes = data.draw(
        st.dictionaries(st.sampled_from(["exp", "uses", "nbf"]), st.integers(0, 1 << 41), min_size=1)
        | st.fixed_dictionaries({"sub": st.just("91350100M000100Y44")})
    )
    forged = signed(OTHER, **changes)
    claims, signature = forged.rpartition(".")[0], GOOD.rpartition(".")[2]
    for text in {forged, f"{claims}.{signature}"} - {GOOD}:
        found = check(text, known=good_one, enterprise=changes.get("sub", ID))
        assert (found.code, found.digest) == ("consent_register", "")


def test_a_mark_is_of_one_institution_one_bank_and_one_key(counted):
    """Another holder's marks, those of another bank's questions, and those under another key are none here."""
    assert check(known=good_one, secret=b"t" * 32).mark not in (b"", MARK)
    assert check(known=good_one, asker="bank_b").code == "consent_bank"
    both = ServingPolicy(registers=tuple(Register(name="register", key=k) for k in (STRANGE, PINNED)))
    theirs = check(signed(OTHER), both, known=good_one)
    assert (theirs.code, theirs.key) == ("", STRANGE)
    assert len(counted) == 3


def test_what_is_refused_leaves_no_mark():
    for text in (signed(OTHER), signed(aud="bank_b"), signed(exp=NOW - 60), "x"):
        assert check(text, known=nothing).mark == b""


# --- in the book --------------------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path):
    found = Book.open(tmp_path / "serving", lambda: None)
    yield found
    found.close()


def marks_of(count, start=0):
    return [k.to_bytes(32, "big") for k in range(start, start + count)]


def put(book, marks, now=NOW, key=PINNED, **how):
    with book.question(now, **how) as page:
        page.verified(dict.fromkeys(marks, key))


def test_marks_are_kept_with_their_question(book, tmp_path):
    some = marks_of(1201)
    put(book, some[:1200])
    put(book, some[:1])
    book.close()
    again = Book.open(tmp_path / "serving", lambda: None)
    assert again.verified([*some, *some]) == set(some[:1200])
    assert again.verified([]) == set()
    # Refused after all, killed, or the disk is full: question and marks are one transaction.
    with contextlib.suppress(RuntimeError), again.question(NOW) as page:
        page.verified({some[1200]: PINNED})
        raise RuntimeError
    assert again.verified(some[1200:]) == set()
    again.close()


def test_marks_go_with_age_and_with_their_key(book):
    old, new, other = marks_of(3)
    put(book, [old])
    put(book, [new], NOW + DAY)
    put(book, [other], NOW + DAY, key=STRANGE)
    later = NOW + 31 * DAY
    put(book, [], later, consent_days=30, keys=None)
    assert book.verified([old, new, other]) == {new, other}
    # The next sweep is some minutes later: what is withdrawn is not looked for from the first question on.
    put(book, [], later + 301, consent_days=31, keys=[PINNED])
    assert book.verified([old, new, other]) == {new}
    put(book, [], later + 602, consent_days=31, keys=[])
    assert book.verified([new]) == set()


def test_a_question_that_comes_to_nothing_deletes_what_is_old_all_the_same(book):
    """Else a bank that asks beyond its quota every five minutes would keep the marks of a withdrawn key."""
    (mark,) = marks_of(1)
    put(book, [mark])
    with contextlib.suppress(RuntimeError), book.question(NOW + 301, keys=[STRANGE]):
        raise RuntimeError
    assert book.verified([mark]) == set()


def test_a_sweep_that_fails_is_done_with_the_next_question(book, monkeypatch):
    (mark,) = marks_of(1)
    put(book, [mark])
    with monkeypatch.context() as patch:
        patch.setattr(book._verified, "sweep", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError), book.question(NOW + 301, keys=[STRANGE]):
            pytest.fail("nothing is answered where the disk fails")
    assert book.verified([mark]) == {mark}
    put(book, [], NOW + 302, keys=[STRANGE])
    assert book.verified([mark]) == set()


def test_marks_stay_few(book):
    for k in range(10):
        put(book, marks_of(10, 10 * k), NOW + k)
    for most, left in ((100, 100), (85, 80), (80, 80), (5, 0)):
        book._verified.sweep(book._connection, 0, None, most=most)
        assert book.verified(marks_of(100)) == set(marks_of(left, 100 - left))


def test_marks_of_another_process_are_known_and_forgotten(book, tmp_path):
    other = Book.open(tmp_path / "serving", lambda: None)
    first, second = marks_of(2)
    put(book, [first])
    put(other, [second])
    assert book.verified([first, second]) == other.verified([first, second]) == {first, second}
    put(other, [], NOW + 301, keys=[STRANGE])
    put(book, [], NOW + 301)
    assert book.verified([first, second]) == other.verified([first, second]) == set()
    other.close()


@pytest.mark.parametrize("rows", [[b""], [b"x" * 32], [GOOD.encode()], [MARK[:-1] + b"x"]])
def test_rows_that_somebody_else_wrote_are_found_by_no_token(book, counted, rows):
    put(book, rows)
    assert check(known=book.verified).code == ""
    assert check(signed(OTHER), known=book.verified).code == "consent_register"
    assert len(counted) == 2


def test_neither_token_nor_id_is_written_down(book, tmp_path):
    put(book, [MARK])
    book.close()
    raw = b"".join(file.read_bytes() for file in (tmp_path / "serving").iterdir())
    assert MARK in raw
    assert not [part for part in (*GOOD.split("."), ID, "0f3a") if part.encode() in raw]
