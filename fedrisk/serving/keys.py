"""Keys of models that serve: one X25519 key of each member for each ISO week, signed by its pinned identity.

Sealing and masks hang on these keys alone, so that whoever takes a machine learns nothing of what was asked a week ago:
private halves are deleted one day after their epoch (forward secrecy, as with the keys of an attempt in
``secure/identity``; deleting a file takes no copies of the disk back). A key that a relay brings is used after the
identity that was pinned for its owner has been found to have signed it, for this epoch.

What masks were drawn for is remembered in the book (``serving/book``). A book that is new, or that a power cut may have
set back, goes with new keys: masks of the keys before can then never cover other numbers.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fedrisk.clients.store.store import NodeStore
from fedrisk.errors import EnvelopeError, ProtocolError, StoreError
from fedrisk.files import mark_of, read_kept, write_atomic
from fedrisk.protocol import scoring as rules
from fedrisk.protocol.scoring import SERVING as SERVING
from fedrisk.secure.identity import EphemeralKey, SignedKey, pair_secret, verify
from fedrisk.secure.pins import Pins
from fedrisk.serving.book import Book

DAY: Final = 86_400.0
WEEK: Final = 7 * DAY

SKEW: Final = 300.0
"""Seconds by which clocks of members may differ."""

AGAIN: Final = 2.0
"""Seconds within which a key that did not fit is not fetched again."""

_MONDAY = datetime(1970, 1, 5, tzinfo=UTC).timestamp()

Fetch = Callable[[Sequence[str], str], Mapping[str, SignedKey]]
"""Members and an epoch -> their keys as they signed them, not verified yet (``Relay.keys``)."""


def epoch_of(now: float) -> str:
    """The ISO week of a time (seconds since 1970, UTC).

    >>> epoch_of(0.0), epoch_of(1_795_737_600.0)
    ('1970W01', '2026W48')
    """
    return rules.epoch_of(datetime.fromtimestamp(now, UTC))


def accepted(now: float) -> tuple[str, ...]:
    """Epochs whose keys are used: the present one first; the one before within a day after its end.

    The next one a few minutes before it begins, for members whose clocks are ahead.

    >>> monday = 1_795_996_800.0
    >>> accepted(monday), accepted(monday - 60), accepted(monday + 3 * DAY)
    (('2026W49', '2026W48'), ('2026W48', '2026W49'), ('2026W49',))
    """
    since = (now - _MONDAY) % WEEK
    near = [now]
    if since < DAY:
        near.append(now - since - 1)
    if since > WEEK - SKEW:
        near.append(now + SKEW)
    return tuple(epoch_of(moment) for moment in near)


class ServingKeys:
    """An institution's own keys, in STORE/serving/keys. Safe to use from several threads and processes."""

    def __init__(self, store: NodeStore, name: str, *, clock: Callable[[], float] = time.time) -> None:
        self.store, self.name, self.clock = store, name, clock
        self._kept: dict[str, tuple[tuple[int, ...], EphemeralKey]] = {}
        self._signed: tuple[str, bytes, SignedKey] | None = None
        self._lock = threading.Lock()
        self._begun = False
        self._allowed: tuple[str, ...] = ()

    def begin(self) -> Book:
        """The institution's book; keys of an earlier one, or of before the machine was started, are dropped."""
        book = Book.open(self.store.path / "serving", self.drop)
        self._begun = True
        return book

    @property
    def folder(self) -> Path:
        """Where they are kept."""
        return self.store.path / "serving" / "keys"

    def own(self, epoch: str) -> EphemeralKey:
        """The key of an epoch, made on first use; ProtocolError outside of the epochs that are accepted now."""
        allowed = accepted(self.clock())
        if epoch not in allowed:
            raise ProtocolError(
                f"keys of epoch {epoch[:8]} are not used now; ask again, and compare the machines' clocks if it "
                "happens again"
            )
        if not self._begun:
            # Also where this process never answers: another one of this institution may.
            self.begin().close()
        with self._lock:
            if allowed != self._allowed:
                self._forget(allowed)
            file = self.folder / f"{epoch}.key"
            kept = self._kept.get(epoch)
            # One that was deleted, by hand or by another process, is used no more.
            if kept is None or kept[0] != mark_of(file):
                key = self._load(epoch)
                self._kept[epoch] = kept = (mark_of(file), key)
            return kept[1]

    def signed(self, epoch: str) -> SignedKey:
        """The public half, signed by the institution's present identity; errors as :meth:`own`."""
        own, identity = self.own(epoch), self.store.identity
        found = self._signed
        if found is None or (found[0], found[1], found[2].public) != (epoch, identity.public, own.public):
            found = self._signed = (epoch, identity.public, own.signed(identity))
        return found[2]

    def drop(self) -> None:
        """Delete all of them: what others masked or sealed for them is of no use any more, and new ones are made."""
        with self._lock:
            self._forget(())

    def tidy(self) -> None:
        """Delete those of epochs that are over."""
        with self._lock:
            self._forget(accepted(self.clock()))

    def _forget(self, allowed: Sequence[str]) -> None:
        self._allowed = tuple(allowed)
        for epoch in set(self._kept) - set(allowed):
            del self._kept[epoch]
        self._signed = None
        for file in self.folder.glob("*.key"):
            if file.stem not in allowed:
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()

    def _load(self, epoch: str) -> EphemeralKey:
        file = self.folder / f"{epoch}.key"
        if not file.exists():
            made, _ = EphemeralKey.generate(self.store.identity, self.name, SERVING, epoch)
            # Another process may have made it first: what is on the disk counts.
            write_atomic(file, made.to_bytes(), replace=False)
        remedy = "delete it: a new key is made, and others take it by its signature"
        try:
            key = EphemeralKey.from_bytes(read_kept(file, remedy))
        except StoreError:
            raise StoreError(f"{file} is damaged; {remedy}") from None
        if (key.institution, key.study_digest, key.attempt) != (self.name, SERVING, epoch):
            raise StoreError(f"{file} is another institution's or epoch's; {remedy}")
        return key


class Peers:
    """Others' keys, verified by pins and remembered, and secrets shared with them. Safe to use from several threads.

    fetch: where keys come from (``Relay.keys``); what it brings is believed after its signature alone.
    """

    def __init__(self, keys: ServingKeys, fetch: Fetch) -> None:
        self.keys, self.fetch = keys, fetch
        self._found: dict[tuple[str, str], tuple[bytes, SignedKey]] = {}
        self._secrets: dict[tuple[str, bytes, bytes], bytes] = {}
        self._fetched: dict[tuple[str, str], float] = {}
        self._pins: tuple[tuple[int, ...], Pins] | None = None

    def of(
        self, names: Sequence[str], epoch: str, *, other_than: Mapping[str, bytes] | None = None
    ) -> dict[str, SignedKey]:
        """Verified keys by name; who has none that its pin vouches for is absent.

        other_than: public keys that did not fit, by name: those are asked for again, if that was not done just now.
        """
        stale, pins = other_than or {}, self.pins
        found, wanted = {}, []
        for name in names:
            pin, kept = pins.institutions.get(name), self._found.get((name, epoch))
            if pin is None:
                continue
            if kept is not None and kept[0] == pin:
                found[name] = kept[1]
            fits = name in found and stale.get(name) != found[name].public
            if not fits and self._may_fetch(name, epoch, name in found):
                wanted.append(name)
        if wanted:
            found |= self._verified(wanted, epoch, pins)
        return found

    @property
    def pins(self) -> Pins:
        """Pinned keys, read again when their file changed; EnvelopeError where there are none."""
        mark = mark_of(self.keys.store.pins_path)
        if self._pins is None or self._pins[0] != mark:
            self._pins = (mark, self.keys.store.pins)
        return self._pins[1]

    def secrets(self, own: EphemeralKey, peers: Mapping[str, SignedKey]) -> dict[str, bytes]:
        """Secrets shared with each of these, whose keys are verified."""
        out = {}
        for name, peer in peers.items():
            place = (own.attempt, own.private, peer.public)
            if place not in self._secrets:
                if len(self._secrets) > 1000:
                    self._secrets.clear()
                self._secrets[place] = pair_secret(own, peer)
            out[name] = self._secrets[place]
        return out

    def tidy(self) -> None:
        """Forget secrets and keys of epochs that are over: memory too is what somebody takes with a machine."""
        allowed = accepted(self.keys.clock())
        for place in [place for place in tuple(self._secrets) if place[0] not in allowed]:
            self._secrets.pop(place, None)
        for who in [who for who in tuple(self._found) if who[1] not in allowed]:
            self._found.pop(who, None)

    def _may_fetch(self, name: str, epoch: str, refused: bool) -> bool:
        """Whether a key is fetched: one that did not fit not again at once, or a bad seal would cost a call each."""
        now = time.monotonic()
        if refused and now - self._fetched.get((name, epoch), -AGAIN) < AGAIN:
            return False
        if len(self._fetched) > 1000:
            self._fetched.clear()
        self._fetched[name, epoch] = now
        return True

    def _verified(self, names: Sequence[str], epoch: str, pins: Pins) -> dict[str, SignedKey]:
        found = {}
        for name, signed in self.fetch(names, epoch).items():
            pin = pins.institutions.get(name)
            if pin is None or name not in names:
                continue
            with contextlib.suppress(EnvelopeError):
                found[name] = verify(signed, pin, name, SERVING, epoch)
                if len(self._found) > 1000:
                    self._found.clear()
                self._found[name, epoch] = (pin, found[name])
        return found
