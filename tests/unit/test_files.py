"""Files are written whole or not at all, readable by their owner alone."""

import os
import stat

import pytest

from fedrisk.errors import StoreError
from fedrisk.files import write_atomic


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_whole_private_and_replaced(tmp_path):
    file = tmp_path / "deep" / "file"
    write_atomic(file, b"one")
    write_atomic(file, b"two")
    assert file.read_bytes() == b"two"
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700
    write_atomic(file, b"three", replace=False)
    assert file.read_bytes() == b"two"
    assert [f.name for f in file.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, step):
    file = tmp_path / "file"
    write_atomic(file, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StoreError, match="cannot be written: No space left on device; check space"):
        write_atomic(file, b"new")
    monkeypatch.undo()
    assert file.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["file"]
