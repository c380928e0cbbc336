"""Small private files: complete or absent, readable only by their owner, and never replaced unless asked."""

import pytest

from fedrisk.errors import StoreError
from fedrisk.files import write_atomic


def test_a_file_is_private_and_alone_in_its_new_folder(tmp_path):
    file = tmp_path / "new" / "a.key"
    write_atomic(file, b"content")
    assert file.read_bytes() == b"content"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_replacing_is_the_default_and_can_be_left_out(tmp_path):
    file = tmp_path / "a.key"
    write_atomic(file, b"first")
    write_atomic(file, b"second", replace=False)
    assert file.read_bytes() == b"first"
    write_atomic(file, b"third")
    assert file.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/a\.key cannot be written: .*; check space and permissions"):
        write_atomic(tmp_path / "file" / "a.key", b"content")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="folder cannot be written"):
        write_atomic(tmp_path / "folder", b"content")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
