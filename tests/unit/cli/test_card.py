"""fedrisk card: shown, edited, verified."""

import json

import pytest

from fedrisk.models.edited_card import EditedCard
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.fitting import refit
from support.card_record import card_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results as a run leaves them, as far as cards go."""
    folder = tmp_path_factory.mktemp("results")
    record = card_record()
    record.save(folder)
    (folder / "scorecard.json").write_text(refit(record).to_json() + "\n")
    return folder


def test_a_card_is_edited_shown_and_verified(fedrisk, folder, tmp_path):
    to, acts = tmp_path / "new", ("--merge", "bank.c0:1-2", "--pdo", "40", "--long-run-rate", "0.04")
    said = ("--reason", "few enterprises", "--author", "A. Officer")
    original = (folder / "scorecard.json").read_bytes()
    code, out, _ = fedrisk("card", "edit", folder, *acts, *said, "--out", to)
    assert code == 0 and "merge bins bank.c0:1-2" in out and "reason: few enterprises" in out
    assert "AUC: expected to change by" in out and "bank.c0: information value" in out
    assert (folder / "scorecard.json").read_bytes() == original
    card = EditedCard.from_json((to / "edited_card.json").read_text())
    assert Scorecard.from_json((to / "scorecard.json").read_text()) == card.card
    code, out, _ = fedrisk("card", "show", to)
    assert code == 0 and "40 points double them" in out and "all digests fit" in out
    code, out, _ = fedrisk("card", "verify", to)
    assert code == 0 and "1 edit; all digests fit" in out and "lead to this card" in out
    plain = json.loads((to / "edited_card.json").read_text())
    lonely = tmp_path / "edited_card.json"
    lonely.write_text(json.dumps({**plain, "history": []}))
    code, out, _ = fedrisk("card", "show", lonely)
    assert code == 0 and "nothing of it was edited" in out and "digests fit" not in out
    code, _, err = fedrisk("card", "verify", lonely)
    assert code == 3 and "never edited" in err
    plain["card"]["base_points"] += 5
    (to / "edited_card.json").write_text(json.dumps(plain))
    code, out, _ = fedrisk("card", "verify", to, "--json")
    assert code == 1 and json.loads(out)["wrong"] == ["the card is not the one after its last edit"]


@pytest.mark.long
def test_nothing_is_written_without_a_place(fedrisk, folder):
    code, out, _ = fedrisk("card", "edit", folder, "--base", "500", "--reason", "r", "--json")
    assert code == 0 and json.loads(out)["edits"][0]["edit"]["base_score"] == 500.0
    assert "nothing was written" not in out


def test_what_is_called_wrongly_says_how(fedrisk, folder, tmp_path):
    code, _, err = fedrisk("card", "edit", folder, "--merge", "bank.c0:1-2")
    assert code == 3 and "no reason" in err
    code, _, err = fedrisk("card", "edit", folder, "--sign", "bank.c0", "--reason", "r")
    assert code == 3 and "bank.c0=falling" in err
    code, _, err = fedrisk("card", "edit", folder / "scorecard.json", "--pdo", "40", "--reason", "r")
    assert code == 3 and "release record is not beside the card" in err
    code, _, err = fedrisk("card", "verify", folder)
    assert code == 3 and "never edited" in err


def test_a_card_as_figures(fedrisk, folder):
    code, out, _ = fedrisk("card", "show", folder, "--json")
    found = json.loads(out)
    assert code == 0 and found["history"] is None
    assert found["features"][0]["bins"][0]["bin"] == 1
