"""Consents: what a holder asks to see before it answers about an enterprise, and how it checks that.

Under ``consent = "token"`` it is a token that a pinned register signed (`consent_token`). The tokens of a question are
checked together, so that what is of the question is done once.

**Decided anew each time**: that the token has the one form, that a register which is pinned *now* signed it with a key
that counts today, and that enterprise, bank, purpose, times and uses fit. **Not done twice** is the arithmetic of one
signature: that a key signed a text stays so. A holder keeps a mark of both, an HMAC under a secret of its own
(`_Marks`), and does not verify a signature again whose mark it has. A mark says nothing of the verdict, and
nobody makes one without the secret.

A token that was used up is found by the book, which counts by its digest (`book.Page.used_up`).
"""

import contextlib
import hmac
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from fedrisk.privacy.serving_policy import Register, ServingPolicy
from fedrisk.secure.keystream import encode_fields
from fedrisk.serving.book import DAY
from fedrisk.serving.codes import OK
from fedrisk.serving.consent_token import Claims, Token, Unfit, segments

MOST_REFERENCE: Final = 200
"""Most letters of a reference."""

Known = Callable[[Collection[bytes]], set[bytes]]
"""Which of these marks are of signatures that were verified before (`book.Book.verified`)."""


class Checked(NamedTuple):
    """What was found of one consent.

    Attributes:
        code: "" where it holds, else one of `codes.ROWS`.
        digest: by which the trail and the book know it, 64 hexadecimal digits; of a token SHA-256 of register and
            ``jti``. Empty where there is none, or nothing that a pinned register signed.
        uses: in how many questions a token may be used; 0 where nothing is counted.
        register: which one signed.
        reference: the text of a reference, which belongs in no trail: an id may stand in it.
        mark: of a token that holds and whose signature was verified just now; key: the key that signed it.
    """

    code: str
    digest: str = ""
    uses: int = 0
    register: str = ""
    reference: str = ""
    mark: bytes = b""
    key: str = ""


class Consents:
    """The consents that one policy asks for. Safe to use from several threads."""

    def __init__(
        self, serving: ServingPolicy, *, secret: bytes | None = None, known: Known = lambda marks: set()
    ) -> None:
        """secret: 32 bytes of the institution's own, for references (`reference_digest`) and marks.

        Without it they are made under one of this object's own: references can be told from each other, but never
        opened. known: which signatures were verified before; by default none.
        """
        self._serving = serving
        self._secret = secret or secrets.token_bytes(32)
        self._known = known

    def check(
        self,
        tokens: Sequence[str],
        enterprises: Sequence[str],
        *,
        asker: str,
        purpose: str,
        now: float,
        always: bool = False,
        scores: bool = True,
    ) -> list[Checked]:
        """Whether a consent holds for each enterprise, for this bank and purpose at this time.

        Raises nothing but what ``known`` raises.

        always: a token has to come, whatever the policy asks for. scores: whether it is asked for scores. enterprises:
        as the bank wrote them or as the dictionary spells them, which is compared alike.
        """
        rule = "token" if always else self._serving.consent_for(purpose, scores=scores)
        if rule == "none":
            return [Checked(OK)] * len(tokens)
        if rule == "reference":
            return [self._noted(token) for token in tokens]
        found = self._signed(tokens, asker, now)
        longest = DAY * self._serving.consent_days
        return [
            Checked(one) if isinstance(one, str) else one.checked(enterprise, asker, purpose, now, longest)
            for one, enterprise in zip((found[token] for token in tokens), enterprises, strict=True)
        ]

    def _noted(self, text: str) -> Checked:
        if not text.strip():
            return Checked("consent_missing")
        # One text goes to all holders of a model: where another asks for a token, it stands here as a reference.
        if not (len(text) <= MOST_REFERENCE and text.isprintable()) and not _compact(text):
            return Checked("consent_form")
        return Checked(OK, reference_digest(self._secret, text.strip()), reference=text.strip())

    def _signed(self, tokens: Iterable[str], asker: str, now: float) -> "dict[str, _Signed | str]":
        """What registers signed, or the code of its fault, by token: each once, and no signature that is known."""
        registers = self._serving.registers_on(datetime.fromtimestamp(now, UTC).date())
        marks = {r.key: _Marks(self._secret, r.key, asker) for r in registers}
        out: dict[str, _Signed | str] = {}
        read: dict[str, list[_Tried]] = {}
        for text in dict.fromkeys(tokens):
            try:
                token = Token.read(text)
            except Unfit as unfit:
                out[text] = unfit.code if text.strip() else "consent_missing"
            else:
                read[text] = [_Tried(token, r, marks[r.key].of(text)) for r in token.keys(registers)]
        known = self._known([one.mark for tried in read.values() for one in tried])
        return out | {text: _first(tried, known) for text, tried in read.items()}


class _Marks:
    """Marks of tokens under one key that one bank shows: HMAC-SHA256 (RFC 2104) of key, bank, and a token's very bytes.

    By the bank another one that got hold of a token cannot tell from the time of an answer whether it was shown before.
    """

    def __init__(self, secret: bytes, key: str, asker: str) -> None:
        self._secret = secret
        # Each part after its length and the token last, so that no two triples are written alike.
        self._start = encode_fields(b"fedrisk verified token v1", bytes.fromhex(key), asker.encode())

    def of(self, token: str) -> bytes:
        return hmac.digest(self._secret, self._start + token.encode(), "sha256")


class _Tried(NamedTuple):
    """A token beside a pinned key that it names."""

    token: Token
    register: Register
    mark: bytes


class _Signed(NamedTuple):
    """What a register signed. mark: empty where it was known already."""

    claims: Claims
    key: str
    mark: bytes

    def checked(self, enterprise: str, asker: str, purpose: str, now: float, longest: int) -> Checked:
        claims = self.claims
        if code := claims.mismatch(enterprise, asker, purpose, now, longest):
            return Checked(code, claims.digest, 0, claims.register)
        return Checked(OK, claims.digest, claims.uses, claims.register, mark=self.mark, key=self.key)


def _first(tried: Sequence[_Tried], known: Collection[bytes]) -> _Signed | str:
    """By the first of these keys that signed the token, or a code.

    Those under which it is known come first: a token that names no key is not verified under another one each time.
    """
    for one in sorted(tried, key=lambda one: one.mark not in known):
        seen = one.mark in known
        if seen or one.token.signed_by(one.register.key):
            try:
                claims = one.token.claims(one.register)
            except Unfit as unfit:
                return unfit.code
            return _Signed(claims, one.register.key, b"" if seen else one.mark)
    return "consent_register"


def _compact(text: str) -> bool:
    with contextlib.suppress(Unfit):
        segments(text)
        return True
    return False


def reference_digest(secret: bytes, text: str) -> str:
    """Under which a reference stands in the trail: HMAC-SHA256 (RFC 2104), hexadecimal.

    With the secret an institution recognises a reference that a bank shows it later. Without it nobody who reads the
    trail can try out ids or contract numbers.
    """
    return hmac.new(secret, encode_fields(b"fedrisk reference v1", text.encode()), "sha256").hexdigest()
