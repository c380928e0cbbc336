"""fedrisk memory: what studies released, on the screen and as JSON, and an earlier card smoothed."""

import json

import pytest

from fedrisk.models.scorecard import Scorecard
from fedrisk.server.hub import Hub
from support.past_runs import finished


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "home"))
    return Hub.default()


def test_nothing_yet(fedrisk, home):
    code, out, _ = fedrisk("memory")
    assert code == 0 and "no finished scorecard study" in out
    assert not home.path.exists()


def test_studies_and_a_smoothed_card(fedrisk, home, tmp_path):
    for day, name in enumerate(("january", "february"), 1):
        finished(home, name, day)
    finished(home, "trial", 3, research=True)
    finished(home, "letters", 4, purpose="marketing")
    code, out, _ = fedrisk("memory")
    assert code == 0 and "january" in out and "february" in out and "trial" not in out
    code, out, _ = fedrisk("memory", "february", "january", "--json")
    rows = json.loads(out)["studies"]
    assert [row["study"] for row in rows] == ["january", "february"]
    assert all(row["fitting"] == row["columns"] == 8 for row in rows)
    to = tmp_path / "card.json"
    code, out, _ = fedrisk("memory", "--smooth", "january", "--out", to)
    assert code == 0 and "by 2 studies" in out
    assert Scorecard.from_json(to.read_text()).study == "january"
    code, _, err = fedrisk("memory", "january", "--smooth", "march")
    assert code != 0 and "none of these" in err
    code, _, err = fedrisk("memory", "january", "--smooth", "january")
    assert code != 0 and "alone" in err
    code, _, err = fedrisk("memory", "january", "letters", "--smooth", "january")
    assert code != 0 and "one purpose each" in err
    code, _, err = fedrisk("memory", "january", "trial", "--smooth", "january")
    assert code != 0 and "research" in err
