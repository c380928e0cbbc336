"""``fedrisk model``: what a person sees, decides and compares, on the models of two studies."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fedrisk.clients.node import Node
from fedrisk.models.card_edit import CardEdit
from fedrisk.models.edited_card import card_digest
from fedrisk.recipes.scorecard.card_editing import edit_card
from fedrisk.releases.record import ReleaseRecord
from fedrisk.serving.card_model import CardModel

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
        for path in tiny.paths.values():
            # Two studies and an edit are three versions of a score.
            path.write_text(path.read_text().replace("[policy]\n", "[policy]\nscored_versions = 3\n"))
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


def test_an_edited_card_is_a_candidate_that_a_person_approves(place, model, fedrisk, tmp_path):
    """Hub edits, members make it anew from what they were told; nothing is taken on trust, and no rule approves it."""
    to, said = tmp_path / "edited", ("--reason", "gaps are not stable", "--author", "A. Officer")
    code, _, err = fedrisk(
        "card", "edit", place.attempt[:8], *said, "--drop", "tax.gaps", "--pdo", "40", "--out", to
    )
    assert code == 0, err
    found = {}
    for name in ("bank", "tax", "power"):
        code, out, err = model("edited", name, to, "--json")
        assert code == 0, err
        found[name] = json.loads(out)
    assert len({m["model"] for m in found.values()}) == 1
    assert {m["state"] for m in found.values()} == {"candidate"}
    id = found["tax"]["model"]
    part = Node.load(place.paths["tax"]).store.models.part(id)
    assert [b["column"] for b in part.bins] == ["sales", "(known)"] and part.edited
    bank = CardModel.of(Node.load(place.paths["bank"]).store.models.part(id))
    assert bank.card.scale.double == 40 and bank.external(np.array([10])).tolist() == [
        round(10 * 2 * bank.card.calibration.line[1])
    ]
    code, out, err = model("approve", "power", id[:8], "--reason", "agreed")
    assert code == 0, err
    # What was taken is held against what follows once more: another file in its place is seen.
    file = Node.load(place.paths["tax"]).store.models.path / id / "edited_card.json"
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b"not stable", b"too stable"))
    code, _, err = model("approve", "tax", id[:8], "--reason", "agreed")
    assert code == 5 and "is another one" in err
    file.write_bytes(raw)
    code, _, err = model("compare", "bank", place.first, id)
    assert code == 3 and "nobody scored the hold-out" in err


def test_a_card_that_does_not_follow_is_not_taken(place, model, tmp_path):
    record = ReleaseRecord.load(place.home / "hub" / "runs" / place.attempt)
    edit = CardEdit(drop=("tax.gaps",), reason="r", author="a")
    made = edit_card(record, [edit])
    # Another number than the study's noise left there.
    other = 9 if made.first.points[0][0] != 9 else 8
    points = ((other, *made.first.points[0][1:]), *made.first.points[1:])
    first = replace(made.first, points=points)
    forged = replace(made, first=first, history=(replace(made.history[0], given=card_digest(first)),))
    assert forged.broken() == []
    file = tmp_path / "edited_card.json"
    file.write_text(forged.to_json())
    code, _, err = model("edited", "tax", file)
    assert code == 3 and "not those that follow" in err
