"""A register of consents for tests and demonstrations: enterprises give and take back, banks fetch tokens.

``python -m sim_institutions.consent_register --out register --port 8099`` serves a page and an API on this machine
alone, and prints the key that holders pin. It stands in for a body that knows who it is talking to: here anybody on the
machine may speak for any enterprise and any bank, and nothing checks who they are.

A token is short-lived (30 days at most) and for one question unless asked otherwise. Taking a consent back stops new
tokens at once; one that was fetched before holds until it is used up or expires (docs/consents.md).
"""

import argparse
import contextlib
import os
import secrets
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedrisk.alignment.ids import normalise
from fedrisk.files import private_folder
from fedrisk.serving.consent_token import MOST_USES, thumbprint

TOKEN_DAYS = 30
"""Days for which a token is valid at most."""

_TABLES = """
CREATE TABLE IF NOT EXISTS consents (
    id TEXT PRIMARY KEY, enterprise TEXT NOT NULL, bank TEXT NOT NULL, purpose TEXT NOT NULL, until TEXT NOT NULL,
    given INTEGER NOT NULL, taken_back INTEGER);
CREATE INDEX IF NOT EXISTS by_enterprise ON consents (enterprise, bank, purpose);
CREATE TABLE IF NOT EXISTS tokens (
    jti TEXT PRIMARY KEY, consent TEXT NOT NULL, made INTEGER NOT NULL, until INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS by_consent ON tokens (consent);
"""


class NoConsent(Exception):
    """There is no consent from which a token could be made."""


@dataclass(frozen=True)
class Consent:
    """What an enterprise gave. until: last day (UTC). given, taken_back: seconds since 1970. tokens: made so far."""

    id: str
    enterprise: str
    bank: str
    purpose: str
    until: str
    given: int
    taken_back: int | None
    tokens: int


class ConsentRegister:
    """A register in a folder of its own: its key, and its consents in SQLite. Safe to use from several threads."""

    def __init__(self, folder: Path, name: str = "consents") -> None:
        private_folder(folder)
        self.name, self._file = name, folder / "consents.sqlite"
        self._private = _own_key(folder / "register.key")
        with self._open() as base:
            base.execute("PRAGMA journal_mode = WAL")
            base.executescript(_TABLES)
        self._file.chmod(0o600)

    @property
    def key(self) -> str:
        """The public key to pin, 64 hexadecimal digits."""
        return self._private.public_key().public_bytes_raw().hex()

    @property
    def to_pin(self) -> str:
        """What a holder writes into its institution file."""
        return f'[[policy.serving.registers]]\nname = "{self.name}"\nkey = "{self.key}"\n'

    def give(self, enterprises: Sequence[str], bank: str, purpose: str, until: date) -> list[str]:
        """Consents of enterprises for one bank and purpose, up to a day; their ids.

        ValueError for an empty id or a day that is past.
        """
        spelt = _spelt(enterprises)
        if until < datetime.now(UTC).date() or not bank or not purpose:
            raise ValueError("a consent names a bank and a purpose, and its last day is today or later")
        rows = [(secrets.token_hex(16), e, bank, purpose, until.isoformat(), int(time.time())) for e in spelt]
        with self._open() as base:
            base.executemany("INSERT INTO consents VALUES (?, ?, ?, ?, ?, ?, NULL)", rows)
        return [row[0] for row in rows]

    def take_back(self, id: str) -> bool:
        """Take a consent back; whether it was there and in force."""
        with self._open() as base:
            found = base.execute(
                "UPDATE consents SET taken_back = ? WHERE id = ? AND taken_back IS NULL",
                (int(time.time()), id),
            )
        return found.rowcount == 1

    def of(self, enterprise: str) -> list[Consent]:
        """All that an enterprise gave, the latest first."""
        with self._open() as base:
            rows = base.execute(
                "SELECT c.*, (SELECT count(*) FROM tokens t WHERE t.consent = c.id) FROM consents c "
                "WHERE enterprise = ? ORDER BY given DESC, rowid DESC",
                _spelt([enterprise]),
            ).fetchall()
        return [Consent(*row) for row in rows]

    def tokens(
        self, enterprises: Sequence[str], bank: str, purpose: str, *, uses: int = 1, days: int = TOKEN_DAYS
    ) -> list[str]:
        """A token for each enterprise; NoConsent, and none at all, where one of them has no consent in force."""
        if not 1 <= uses <= MOST_USES or not 1 <= days <= TOKEN_DAYS:
            raise ValueError(f"uses is from 1 to {MOST_USES}, days from 1 to {TOKEN_DAYS}")
        now, out, noted = int(time.time()), [], []
        today, headers = (
            datetime.now(UTC).date().isoformat(),
            {"typ": "consent+jwt", "kid": thumbprint(self.key)},
        )
        with self._open() as base:
            for enterprise in _spelt(enterprises):
                found = base.execute(
                    "SELECT id, until FROM consents WHERE enterprise = ? AND bank = ? AND purpose = ? "
                    "AND taken_back IS NULL AND until >= ? ORDER BY until DESC LIMIT 1",
                    (enterprise, bank, purpose, today),
                ).fetchone()
                if found is None:
                    raise NoConsent(
                        "an enterprise has given no consent for this bank and purpose that is in force"
                    )
                # Random, so that it tells nothing of the enterprise.
                jti, until = secrets.token_urlsafe(16), min(now + 86_400 * days, _end(found[1]))
                claims: dict[str, str | int] = {
                    "iss": self.name,
                    "sub": enterprise,
                    "aud": bank,
                    "purpose": purpose,
                }
                claims |= {"iat": now, "exp": until, "jti": jti, "uses": uses}
                out.append(jwt.encode(claims, self._private, algorithm="EdDSA", headers=headers))
                noted.append((jti, found[0], now, until))
            base.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?)", noted)
        return out

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A transaction of its own."""
        with contextlib.closing(sqlite3.connect(self._file, timeout=30)) as base, base:
            yield base


def as_dict(consent: Consent) -> dict[str, object]:
    """A consent for the page, with whether it is in force."""
    today = datetime.now(UTC).date().isoformat()
    return {**asdict(consent), "in_force": consent.taken_back is None and consent.until >= today}


def _spelt(enterprises: Sequence[str]) -> list[str]:
    spelt, refused = normalise(list(enterprises), "opaque")
    if refused.any():
        raise ValueError("an id is empty")
    return [str(s) for s in spelt]


def _end(day: str) -> int:
    """The first second after a day (UTC)."""
    after = date.fromisoformat(day) + timedelta(days=1)
    return int(datetime(after.year, after.month, after.day, tzinfo=UTC).timestamp())


def _own_key(file: Path) -> Ed25519PrivateKey:
    with contextlib.suppress(FileExistsError):
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(secrets.token_bytes(32))
    return Ed25519PrivateKey.from_private_bytes(file.read_bytes())


def main(arguments: list[str] | None = None) -> None:
    """Serve a register until it is stopped."""
    parser = argparse.ArgumentParser(prog="python -m sim_institutions.consent_register", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("register"), help="folder of its key and consents")
    parser.add_argument("--port", type=int, default=8099, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--name", default="consents", help="its name in tokens")
    given = parser.parse_args(arguments)
    from sim_institutions.consent_page import serve

    register = ConsentRegister(given.out, given.name)
    print(register.to_pin, flush=True)
    serve(register, given.port, lambda address: print(address, file=sys.stderr, flush=True))


if __name__ == "__main__":
    # As the module that the page knows, not as __main__.
    from sim_institutions.consent_register import main as run

    run()
