"""Layouts of folders: written once, a later one refused, an earlier one brought forward with a copy kept."""

import contextlib
import json
import socket
import stat

import pytest

import fedrisk
from fedrisk.errors import StoreError
from fedrisk.layout import FILE, HUB, NODE, Layout


def rename(folder):
    """An invented step, which may be run again: "old" is called "new" from now on."""
    if (folder / "old").exists():
        (folder / "old").rename(folder / "new")


def add_word(folder):
    text = (folder / "new").read_text()
    if "word" not in text:
        (folder / "new").write_text(text + " word")


FIRST = Layout(what="the box", number=1)
THIRD = Layout(what="the box", number=3, steps={1: rename, 2: add_word})


@pytest.fixture
def box(tmp_path):
    folder = tmp_path / "box"
    folder.mkdir(mode=0o700)
    (folder / "old").write_text("kept")
    (folder / "secret.key").write_text("k")
    (folder / "secret.key").chmod(0o600)
    FIRST.open(folder)
    return folder


def copies(box):
    return sorted(path for path in box.parent.iterdir() if path != box)


def number(box):
    return json.loads((box / FILE).read_text())


def test_a_folder_says_its_layout_and_who_wrote_it(box):
    assert number(box) == {"layout": 1, "fedrisk": fedrisk.__version__}
    FIRST.open(box)
    FIRST.check(box)
    assert not copies(box)


def test_looking_writes_nothing(tmp_path):
    FIRST.check(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("act", [FIRST.open, FIRST.check])
def test_a_later_layout_is_refused(box, act):
    (box / FILE).write_text(json.dumps({"layout": 2, "fedrisk": "9.1"}))
    with pytest.raises(
        StoreError, match=r"the box .* was used by fedrisk 9\.1, .* which is older .* use the later"
    ):
        act(box)
    assert (box / "old").exists()


def test_an_earlier_layout_is_brought_forward_step_by_step_and_a_copy_is_kept(box, monkeypatch):
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
        monkeypatch.chdir(box)
        control.bind("control.sock")
        THIRD.open(box)
    assert number(box)["layout"] == 3
    assert (box / "new").read_text() == "kept word"
    (copy,) = copies(box)
    assert not (copy / "control.sock").exists()
    assert copy.name.startswith("box.layout-1.")
    assert (copy / "old").read_text() == "kept"
    assert number(copy)["layout"] == 1
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert stat.S_IMODE((copy / "secret.key").stat().st_mode) == 0o600
    THIRD.open(box)
    assert len(copies(box)) == 1


def test_an_earlier_layout_is_not_read_before(box):
    with pytest.raises(StoreError, match="of layout 1, .* keeps layout 3; the next study"):
        THIRD.check(box)
    assert not copies(box)


def test_a_step_that_was_interrupted_is_run_again(box):
    def stops(folder):
        rename(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="could not be brought to layout 3: No space left"):
        Layout(what="the box", number=3, steps={1: stops, 2: add_word}).open(box)
    assert number(box)["layout"] == 1
    THIRD.open(box)
    assert (box / "new").read_text() == "kept word"
    assert (copies(box)[0] / "old").read_text() == "kept"


def test_without_a_way_forward_nothing_is_touched(box):
    with pytest.raises(StoreError, match="cannot bring it forward from layout 2"):
        Layout(what="the box", number=3, steps={1: rename}).open(box)
    assert (box / "old").exists() and not copies(box)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"layout": 0, "fedrisk": "1"}', '{"layout": "1", "fedrisk": "1"}']
)
def test_a_damaged_mark_is_said(box, content):
    (box / FILE).write_text(content)
    with pytest.raises(StoreError, match=r"VERSION is (damaged|empty); put it back"):
        FIRST.open(box)


def test_folders_of_this_version_have_their_first_layout():
    assert (HUB.number, NODE.number) == (1, 1)
