"""``fedrisk model drift``: counts by column and kind, the stability index of models, and what is said of days."""

import json

import pytest

from fedrisk.serving.current import CurrentData
from fedrisk.serving.kinds import bins_of
from support.serving import MODEL, Consortium, part_of


@pytest.fixture
def holder(tmp_path):
    """A tax office that serves a model whose training rows were half below 1 and half without a row here."""
    made = Consortium(tmp_path, ("tax",), values={"tax": (0.0, 1.0, 20.0, None)})
    made.put(part_of("tax", ("tax",), shares=((0.5, 0, 0, 0, 0.5), (0.5, 0.5))))
    return made


def looked_up(made, times=1):
    node = made.nodes["tax"]
    data = CurrentData.open(node.institution, node.store.path / "serving")
    part = node.store.models.part(MODEL)
    for _ in range(times):
        found = data.rows(["E0", "E1", "E2", "E3", "E4"])
        found.codes(bins_of(part), found.known)
    data.close()


def test_before_anything_was_asked(fedrisk, holder):
    code, out, err = fedrisk("model", "drift", holder.paths["tax"])
    assert code == 0 and "the day of the file stands for all its rows" in " ".join(out.split())
    assert "nothing was looked up" in err


def test_what_people_read(fedrisk, holder):
    looked_up(holder, 200)
    code, out, err = fedrisk("model", "drift", holder.paths["tax"])
    assert (code, err) == (0, "")
    assert "1,000 rows were looked up" in out
    (row,) = (line.split() for line in out.splitlines() if "public bounds" in line)
    assert row[0] == "value" and row[-3:] == ["200", "200", "200"]
    (row,) = (line.split() for line in out.splitlines() if line.startswith("value") and "1,000" in line)
    assert float(row[2]) > 0.25 and "differs much" in " ".join(row)
    assert "E0" not in out


def test_for_programs(fedrisk, holder):
    looked_up(holder)
    code, out, _ = fedrisk("model", "drift", holder.paths["tax"], "--json")
    said = json.loads(out)
    assert code == 0 and said["counts"]["total"] == {"value": {"outside": 1}}
    value, known = said["models"][MODEL]
    assert (value["column"], value["rows"], known["rows"]) == ("value", 5, 5)
    assert known["verdict"] in ("stable", "few")
