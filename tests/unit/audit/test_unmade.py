"""The trail of an institution that has none yet."""

import pytest

from fedrisk.audit.unmade import UnmadeLog
from fedrisk.errors import NothingYet


def test_it_has_no_entries_and_makes_no_file(tmp_path):
    log = UnmadeLog(tmp_path / "node" / "audit.jsonl", "bank")
    assert list(log.entries()) == list(log.entries(3, event="release")) == []
    with pytest.raises(NothingYet, match="the first study begins it"):
        log.head()
    with pytest.raises(NothingYet):
        log.note("contradiction_answered", counterparty="tax", digest="")
    assert not (tmp_path / "node").exists()
