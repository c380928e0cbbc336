"""The same request once more: the same bytes, one handler's work, entries that nobody counts; faults that go by."""

import errno
import os
import sqlite3

import pytest

from fedrisk.audit.usage import attempt_rows
from fedrisk.clients import app
from fedrisk.clients.describe import close
from fedrisk.clients.node import Node
from fedrisk.clients.resend import goes_by
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import AwayError, DataError, OwnerError, PolicyError, StoreError
from fedrisk.protocol.actions import Action
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.recipes import load_study

ATTEMPT = "0123456789abcdef"


class Handled:
    """A node with an action whose answers are different every time, and a way to ask it."""

    def __init__(self, consortium, monkeypatch):
        self.path, self.calls, self.fault = consortium.paths["bank"], 0, None
        begun = Begun(study=load_study(consortium.study_file).model_dump(mode="json"), research_seed=None)
        self.node.trail.append(
            [{"attempt": "other", "action": "describe", "event": "request", "counterparty": "hub"}]
        )
        self.node.store.begin(ATTEMPT, begun)
        self.state.put_secret("ephemeral", b"key")
        action = Action(name="mask", serve=self.serve)
        monkeypatch.setattr(app, "action_of", lambda node, name, payload: action)
        self.grid = InProcessGrid(app.app, {"bank": self.path})

    @property
    def node(self):
        """As a process that was started anew finds it."""
        return Node.open(self.path)

    @property
    def state(self):
        return self.node.store.attempt(ATTEMPT)

    def serve(self, node, request):
        self.calls += 1
        if self.fault is not None:
            fault, self.fault = self.fault, None
            fault()
        return Payload({"call": self.calls}, {"x": os.urandom(8)})

    def ask(self, **body):
        (node,) = self.grid.get_node_ids()
        payload = Payload({"attempt": ATTEMPT, **body})
        (answer,) = self.grid.send_and_receive([request(payload, "mask", node, ttl=60.0)])
        return from_record(answer.content)

    def events(self):
        return [e.event for e in self.node.trail.entries(attempt=ATTEMPT)]

    @property
    def kept(self):
        return self.state.folder / "last.answer"


@pytest.fixture
def handled(consortium, monkeypatch):
    return Handled(consortium, monkeypatch)


def test_the_same_request_gets_the_same_bytes_and_counts_once(handled):
    first = handled.ask()
    (before,) = attempt_rows(handled.node.trail.entries(attempt=ATTEMPT))
    assert handled.ask().digest() == handled.ask().digest() == first.digest()
    assert handled.calls == 1
    assert handled.events() == ["request", "answer"] + 2 * ["resent", "resent"]
    assert [*attempt_rows(handled.node.trail.entries(attempt=ATTEMPT))] == [before]


def test_other_content_is_another_request(handled):
    handled.ask()
    other = handled.ask(more=1)
    # What nobody reads may not be in a request: refused as any first one, and the attempt is over.
    assert other.refusal is not None and handled.state.over
    assert not handled.kept.exists()


def test_one_answer_is_kept_at_a_time(handled, monkeypatch):
    handled.ask()
    size = handled.kept.stat().st_size
    for name in ("mask", "release", "mask"):
        action = Action(name=name, serve=handled.serve)
        monkeypatch.setattr(app, "action_of", lambda node, n, payload, action=action: action)
        handled.ask()
    files = [f.name for f in handled.state.folder.iterdir() if "answer" in f.name]
    assert files == ["last.answer"] and handled.kept.stat().st_size == size
    assert handled.kept.stat().st_mode & 0o077 == 0


def test_the_answer_goes_with_the_attempt(handled):
    handled.ask()
    close(handled.node, Payload({"attempt": ATTEMPT}))
    assert not handled.kept.exists()
    handled.ask()
    assert not handled.kept.exists()


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_damaged_answer_is_made_again(handled, content):
    handled.ask()
    if content is None:
        handled.kept.unlink()
    else:
        handled.kept.write_bytes(content)
    assert handled.ask().body["call"] == 2
    assert handled.ask().body["call"] == 2


def test_a_process_that_ends_before_the_answer_is_entered_enters_it_once(handled, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(self, answer):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(app.Incoming, "record_answer", killed)
        with pytest.raises(Killed):
            handled.ask()
    assert handled.events() == ["request"]
    assert handled.ask().body["call"] == handled.ask().body["call"] == 1
    assert handled.events() == ["request", "resent", "answer", "resent", "resent"]


def fails(error):
    def fail():
        raise error

    return fail


def full():
    try:
        raise OSError(errno.ENOSPC, "no space left")
    except OSError as error:
        raise StoreError(f"store cannot be written: {error.strerror}") from None


@pytest.mark.parametrize("fault", [full, fails(AwayError("database")), fails(OSError(errno.EDQUOT, "quota"))])
def test_what_goes_by_consumes_nothing(handled, fault):
    handled.fault = fault
    assert handled.ask().refusal == "later"
    assert not handled.state.over and handled.state.has_secret("ephemeral")
    assert handled.ask().refusal is None
    assert handled.events()[-1] == "answer" and "refusal" in handled.events()


@pytest.mark.parametrize(
    "fault", [fails(PolicyError("no")), fails(StoreError("damaged")), fails(KeyError("x"))]
)
def test_what_stays_ends_the_attempt(handled, fault):
    handled.fault = fault
    assert handled.ask().refusal in ("refused", "store", "internal")
    assert handled.state.over and not handled.state.has_secret("ephemeral")


def raised(kind, cause):
    try:
        try:
            raise cause
        except type(cause):
            raise kind("said") from None
    except kind as error:
        return error


def sqlite(name):
    error = sqlite3.OperationalError("said")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (raised(StoreError, OSError(errno.ENOSPC, "")), True),
        (raised(StoreError, OSError(errno.EACCES, "")), False),
        (raised(StoreError, OSError(errno.EROFS, "")), False),
        (raised(StoreError, sqlite("SQLITE_FULL")), True),
        (raised(StoreError, sqlite("SQLITE_BUSY")), True),
        (raised(StoreError, sqlite("SQLITE_CORRUPT")), False),
        (raised(StoreError, ValueError()), False),
        (raised(OwnerError, OSError(errno.ENOSPC, "")), False),
        (raised(PolicyError, OSError(errno.ENOSPC, "")), False),
        (raised(DataError, OSError(errno.ENOENT, "")), False),
        (StoreError("the ledger does not agree"), False),
        (OSError(errno.ENOSPC, ""), True),
        (AwayError("x"), True),
        (KeyError("x"), False),
    ],
)
def test_which_faults_go_by(error, expected):
    assert goes_by(error) is expected
