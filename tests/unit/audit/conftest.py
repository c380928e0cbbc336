"""What the tests of the audit trail share: drafts, small logs, and forgers who lack the key."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from fedrisk.audit.log import AuditLog
from fedrisk.secure.identity import IdentityKey

KEY = IdentityKey(b"\1" * 32)
FORMAT_1 = Path(__file__).parent / "format1"


def _draft(number=0, **changes):
    base = {
        "study": "pilot",
        "attempt": "a1b2c3d4",
        "purpose": "credit",
        "action": "release",
        "event": "release",
        "counterparty": "hub",
        "kind": "noisy_sums",
        "protection": "discrete_gaussian",
        "digest": hashlib.sha256(str(number).encode()).hexdigest(),
        "bytes": 100 + number,
    }
    return {**base, **changes}


@pytest.fixture(scope="session")
def draft():
    """A draft of a release; each number gives another digest."""
    return _draft


@pytest.fixture(scope="session")
def make():
    """A log in a folder, ``audit.jsonl``, with appends of so many entries."""

    def make(folder, batches=(1, 2, 3, 1), key=KEY, institution="tax"):
        log = AuditLog(folder / "audit.jsonl", key, institution)
        for number, size in enumerate(batches):
            log.append([_draft(10 * number + i) for i in range(size)])
        return log

    return make


@pytest.fixture(scope="session")
def lines_of():
    """Lines of a log, each with its end."""
    return lambda path: path.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="session")
def rehash():
    """All entries from ``start`` on linked and hashed again, as someone without the key would do it."""

    def rehash(lines, start):
        out, previous = [], None
        for place, line in enumerate(lines):
            if place >= start:
                plain = json.loads(line)
                if previous is not None:
                    plain["previous"] = previous
                plain["index"] = place
                plain.pop("hash")
                body = json.dumps(plain, separators=(",", ":"))[:-1].encode()
                digest = hashlib.sha256(b"fedrisk audit entry v1\n" + body).hexdigest()
                line = body + f',"hash":"{digest}"}}\n'.encode()
            previous = json.loads(line)["hash"]
            out.append(line)
        return out

    return rehash


@pytest.fixture(scope="session")
def old_append():
    """What a version before format 2 appends to a log with entries, written out from its description."""

    def old_append(path, key, drafts):
        last = json.loads(path.read_bytes().splitlines()[-1])
        previous, lines = last["hash"], []
        for place, content in enumerate(drafts):
            plain = {"index": last["index"] + 1 + place, "time": last["time"]}
            plain |= {"institution": last["institution"], **content}
            plain |= {"rows": 0, "spend": None, "consent": None, "code": None, "note": ""}
            plain["previous"] = previous
            body = json.dumps(plain, separators=(",", ":"))[:-1].encode()
            signed = key.sign(b"fedrisk audit signature v1\n" + body).hex()
            body += f',"signature":"{signed if place == len(drafts) - 1 else ""}"'.encode()
            previous = hashlib.sha256(b"fedrisk audit entry v1\n" + body).hexdigest()
            lines.append(body + f',"hash":"{previous}"}}\n'.encode())
        path.write_bytes(path.read_bytes() + b"".join(lines))

    return old_append


@pytest.fixture
def format_1(tmp_path):
    """A copy of the two trails in format 1 that an earlier version wrote; see ``format1/README.md``."""
    folder = tmp_path / "format1"
    shutil.copytree(FORMAT_1, folder)
    return folder
