"""Files are written whole or not at all, readable by their owner alone."""

import os
import stat

import pytest

from fedrisk.errors import StoreError
from fedrisk.files import private_append, private_file, private_folder, write_atomic


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


# --- for the owner only -------------------------------------------------------------------------------------


@pytest.fixture
def open_umask():
    """A process that hides nothing by itself."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_new_folders_and_files_are_private_whatever_the_umask(tmp_path, open_umask):
    write_atomic(tmp_path / "a" / "b" / "file", b"")
    private_folder(tmp_path / "c" / "d")
    private_file(tmp_path / "c" / "file")
    with private_append(tmp_path / "c" / "log") as log:
        os.write(log, b"x")
    for path in tmp_path.rglob("*"):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_that_is_open_to_others_is_closed_with_all_that_is_in_it(tmp_path, open_umask):
    folder = tmp_path / "store"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("kept")
    (folder / "elsewhere").symlink_to(tmp_path)
    tmp_path.chmod(0o755)
    private_folder(folder)
    assert [mode(p) for p in (folder, folder / "deep", folder / "deep" / "file")] == [0o700, 0o700, 0o600]
    assert mode(tmp_path) == 0o755  # what a link points to is not of the store
    assert (folder / "deep" / "file").read_text() == "kept"


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o750)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(
        StoreError, match="open to other users and belongs to another one; have its owner run"
    ):
        private_folder(folder)
    folder.chmod(0o700)
    private_folder(folder)


def test_a_disk_that_keeps_no_permissions_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o755)
    monkeypatch.setattr(type(folder), "chmod", lambda *_: None)
    with pytest.raises(StoreError, match="keeps no permissions"):
        private_folder(folder)


def test_a_file_that_is_there_is_closed_and_kept(tmp_path):
    file = tmp_path / "file"
    file.write_text("kept")
    file.chmod(0o644)
    private_file(file)
    assert (mode(file), file.read_text()) == (0o600, "kept")
