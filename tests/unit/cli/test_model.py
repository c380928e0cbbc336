"""``fedrisk model``: what a person sees, decides and compares, on the models of two studies."""

import json
from types import SimpleNamespace

import pytest

from fedrisk.clients.node import Node

pytestmark = pytest.mark.study


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_writer):
    """A tiny consortium after two studies of one name; two models at each member."""
    from fedrisk.engine.in_process import run_local
    from fedrisk.server.hub import Hub

    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDRISK_HOME", str(folder / "home"))
        tiny = tiny_writer(folder / "consortium")
        for epsilon in ("8", "6"):
            study = tiny.study(f"privacy.epsilon={epsilon}", "serving.fresh_days=92")
            run_local(study, tiny.paths, hub=Hub.default())
        first, second = Node.load(tiny.paths["bank"]).store.models.parts()
    return SimpleNamespace(
        home=folder / "home", paths=tiny.paths, first=first.model, second=second.model, attempt=first.attempt
    )


@pytest.fixture
def model(place, fedrisk, monkeypatch):
    """Calls ``fedrisk model``; the stores are those of the module."""
    monkeypatch.setenv("FEDRISK_HOME", str(place.home))

    def call(what, name, *more):
        return fedrisk("model", what, place.paths[name], *more)

    return call


def test_a_study_leaves_candidates_that_are_listed(place, model):
    code, out, _ = model("list", "tax", "--json")
    assert code == 0
    listed = json.loads(out)["models"]
    assert [(m["model"], m["version"], m["state"]) for m in listed] == [
        (place.first, 1, "candidate"),
        (place.second, 2, "candidate"),
    ]
    code, out, _ = model("list", "tax")
    assert code == 0 and place.first[:8] in out and "candidate" in out


def test_who_approves_sees_columns_points_and_bits(place, model):
    code, out, _ = model("show", "tax", place.first[:6])
    assert code == 0
    assert "sales" in out and "gaps" in out and "load" not in out
    assert "bits of an enterprise at most" in out and "asked by bank" in out
    assert "data older than 92 days count as missing" in out and "against" not in out
    shown = json.loads(model("show", "tax", place.first, "--json")[1])
    assert shown["fresh_days"] == 92 and 0 < shown["bits"] <= 9 and shown["against"] == []
    assert {c["column"] for c in shown["columns"]} == {"sales", "gaps", "(known)"}


def test_the_life_of_a_model(place, model):
    """Approved at a holder and at the bank, deployed, compared, retired: with who and why, in the trail as a code."""
    assert model("approve", "power", place.first, "--who", "B. Officer", "--reason", "looked at")[0] == 0
    history = json.loads(model("show", "power", place.first, "--json")[1])["history"]
    assert [(h["state"], h["who"], h["why"]) for h in history] == [("approved", "B. Officer", "looked at")]
    code, _, err = model("deploy", "bank", place.first)
    assert code != 0 and "fedrisk model approve" in err
    for each in (place.first, place.second):
        assert model("approve", "bank", each)[0] == 0
    assert model("deploy", "bank", place.first)[0] == 0
    code, out, err = model("deploy", "bank", place.second)
    assert code == 0 and "deployed as champion" in out and f"model {place.first} was the champion" in err
    compared = json.loads(model("compare", "bank", "--json")[1])["compared"]
    (one,) = compared
    assert (one["champion"]["model"], one["challenger"]["model"]) == (place.second, place.first)
    assert one["auc"]["low"] <= one["auc"]["value"] <= one["auc"]["high"] and 0 < one["rate"] < 1
    code, out, _ = model("compare", "bank", place.first, place.second)
    assert code == 0 and "the challenger is" in out and "another band of 20 points" in out
    assert model("retire", "bank", place.second, "--reason", "refit")[0] == 0
    listed = json.loads(model("list", "bank", "--json")[1])["models"]
    assert [(m["state"], m["roles"]) for m in listed] == [("deployed", {"": "challenger"}), ("retired", {})]
    assert model("compare", "bank")[0] != 0


def test_a_part_that_was_changed_in_the_store_is_not_approved(place, model):
    """More points than were released, put into the file by hand: the part is made anew, and this one is not it."""
    file = Node.load(place.paths["tax"]).store.path / "models" / place.second / "part.json"
    kept = file.read_bytes()
    content = json.loads(kept)
    content["points"][0][0] += 1
    file.write_text(json.dumps(content))
    code, _, err = model("approve", "tax", place.second)
    assert code != 0 and "its points differ from what was released and given in its study" in err
    file.write_bytes(kept)
    assert model("refuse", "tax", place.second, "--reason", "not yet")[0] == 0
    code, _, err = model("approve", "tax", place.second)
    assert code != 0 and "--again" in err
    assert model("approve", "tax", place.second, "--again")[0] == 0


def test_without_models_it_says_how_one_comes(consortium, fedrisk):
    code, out, err = fedrisk("model", "list", consortium.paths["tax"])
    assert (code, out) == (0, "") and "a scorecard study leaves one" in err
    code, _, err = fedrisk("model", "approve", consortium.paths["tax"], "abcd")
    assert code != 0 and "there is no model at tax yet" in err
    assert not Node.load(consortium.paths["tax"]).store.path.exists()
