"""Errors of a store, by attempt."""

import json

import pytest

from fedrisk.clients.store.store import NodeStore
from fedrisk.errors import PolicyError, ProtocolError

ATTEMPT = "0123456789abcdef"


@pytest.fixture
def store(tmp_path):
    return NodeStore(tmp_path / "node")


def test_errors_are_kept_by_attempt_oldest_first(store):
    assert store.errors.of(ATTEMPT) == []
    store.errors.add(ATTEMPT, "describe", PolicyError("policy.purposes does not hold it"))
    store.errors.add("f" * 16, "blind", ProtocolError("another attempt"))
    try:
        raise KeyError("unforeseen\nin two lines")
    except KeyError as error:
        store.errors.add(ATTEMPT, "mask", error)
    first, second = store.errors.of(ATTEMPT)
    assert (first["code"], first["action"], first["text"]) == (
        "refused",
        "describe",
        "policy.purposes does not hold it",
    )
    assert (second["code"], second["action"]) == ("internal", "mask")
    assert "line " in second["traceback"] and "KeyError" in second["traceback"]
    assert (
        "in two lines" not in second["text"] and "KeyError" in second["text"] and "\n" not in second["text"]
    )
    assert "traceback" not in first
    lines = (store.path / "errors.log").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 3
