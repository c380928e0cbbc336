"""One process a folder, and what it says of itself."""

import json

import pytest

from fedrisk.deploy.serving import STATUS, is_served, read, serving
from fedrisk.errors import StoreError


def test_one_process_serves_a_folder_at_a_time(tmp_path):
    assert not is_served(tmp_path)
    with serving(tmp_path) as status:
        status.say(connected=True)
        assert is_served(tmp_path)
        with pytest.raises(StoreError, match="is served already by process"), serving(tmp_path):
            pass
        assert read(tmp_path)["connected"] is True, "who was refused changes nothing"
    assert not is_served(tmp_path)
    assert read(tmp_path)["connected"] is False


def test_looking_makes_nothing(tmp_path):
    is_served(tmp_path), read(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_last_is_kept_from_one_process_to_the_next(tmp_path):
    with serving(tmp_path) as status:
        status.say(last_message=5.0, reason="gone")
    with serving(tmp_path):
        pass
    with serving(tmp_path) as status:
        status.say(connected=True)
        said = read(tmp_path)
    assert said["last_message"] == 5.0
    assert "reason" not in said
    assert (tmp_path / STATUS).stat().st_mode & 0o777 == 0o600


def test_only_news_is_written(tmp_path):
    with serving(tmp_path) as status:
        status.say(connected=True)
        (tmp_path / STATUS).unlink()
        status.say(connected=True)
        assert not (tmp_path / STATUS).exists()
        status.say(connected=False)
        assert json.loads((tmp_path / STATUS).read_bytes())["connected"] is False


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{"])
def test_a_status_that_cannot_be_read_is_none(tmp_path, content):
    (tmp_path / STATUS).write_bytes(content)
    assert read(tmp_path) == {}


def test_a_folder_is_served_and_serves_scores_beside_each_other(tmp_path):
    from fedrisk.deploy.serving import SCORING

    with serving(tmp_path) as one, serving(tmp_path, SCORING) as other:
        one.say(connected=True)
        other.say(connected=False)
        assert is_served(tmp_path) and is_served(tmp_path, SCORING)
        with pytest.raises(StoreError, match="is served already"), serving(tmp_path, SCORING):
            pass
    assert read(tmp_path)["pid"] == read(tmp_path, SCORING)["pid"]
