"""Where stores lie: one folder, from wherever and however it is named."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from fedrisk.errors import ConfigError
from fedrisk.home import RelativeHome, home, resolved


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A user's home folder, and a present folder that is another one."""
    (tmp_path / "user").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "user"


@pytest.mark.parametrize("text", ["", "  ", None])
def test_by_default_it_is_in_the_users_home(user, monkeypatch, text):
    monkeypatch.delenv("FEDRISK_HOME", raising=False)
    if text is not None:
        monkeypatch.setenv("FEDRISK_HOME", text)
    assert home() == user / ".fedrisk"


@pytest.mark.parametrize("text", ["stores", "./stores", "stores/", "a/../stores", ".//stores"])
def test_a_relative_path_means_one_folder_from_everywhere(user, monkeypatch, tmp_path, text):
    monkeypatch.setenv("FEDRISK_HOME", text)
    for folder in ("here", "user", "."):
        monkeypatch.chdir(tmp_path / folder)
        with pytest.warns(RelativeHome, match="relative path; it is taken from the user's home"):
            assert home() == user / "stores"


@pytest.mark.parametrize("inside", ["institutions", "hub"])
def test_stores_of_an_earlier_version_in_the_present_folder_are_never_forgotten(
    user, monkeypatch, tmp_path, inside
):
    """It took a relative path from there; a new ledger would know nothing of what was spent."""
    (tmp_path / "here" / "stores" / inside).mkdir(parents=True)
    monkeypatch.setenv("FEDRISK_HOME", "stores")
    with pytest.raises(ConfigError, match=f"export FEDRISK_HOME={tmp_path}/here/stores"):
        home()
    monkeypatch.chdir(user)
    with pytest.warns(RelativeHome):
        assert home() == user / "stores"


def test_the_same_folder_is_no_earlier_one(user, monkeypatch):
    (user / "stores" / "hub").mkdir(parents=True)
    monkeypatch.chdir(user)
    monkeypatch.setenv("FEDRISK_HOME", "stores")
    with pytest.warns(RelativeHome):
        assert home() == user / "stores"


@pytest.mark.parametrize(
    "text",
    ["{0}/s", "{0}/s/", "{0}//s", "{0}/x/../s", "~/s", "${{HOME}}/s", "$HOME/s", "{0}/link", "{0}/./s/."],
)
def test_every_spelling_of_a_path_is_one_folder(user, monkeypatch, text):
    (user / "s").mkdir()
    (user / "link").symlink_to(user / "s")
    monkeypatch.setenv("FEDRISK_HOME", text.format(user))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert home() == user / "s"


@pytest.mark.parametrize("text", ["${NO_SUCH_VARIABLE}/s", "/x/${NO_SUCH_VARIABLE}"])
def test_a_variable_that_is_not_set_is_named(user, monkeypatch, text):
    monkeypatch.setenv("FEDRISK_HOME", text)
    with pytest.raises(ConfigError, match=r"FEDRISK_HOME = .*variable NO_SUCH_VARIABLE is not set"):
        home()


def test_no_such_user(user, monkeypatch):
    monkeypatch.setenv("FEDRISK_HOME", "~no-such-user-here/s")
    with pytest.raises(ConfigError, match="no such user's home"):
        home()


def test_a_user_without_a_home(monkeypatch):
    def lost():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", lost)
    with pytest.raises(ConfigError, match="this user has no home folder; set FEDRISK_HOME"):
        resolved("s", what="FEDRISK_HOME")


def test_a_relative_path_from_a_base(tmp_path):
    assert resolved("../s", what="store", base=tmp_path / "a") == tmp_path / "s"
    assert resolved("/s", what="store", base=tmp_path) == Path("/s")


def test_another_process_finds_the_same(user, tmp_path):
    """Flower's processes and workers start in folders of their own."""
    code = "from fedrisk.home import home; print(home())"
    found = set()
    for folder in ("here", "user"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path / folder,
            env={**os.environ, "FEDRISK_HOME": "stores", "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout.strip())
    assert found == {str(user / "stores")}
