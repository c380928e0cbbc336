"""Cards on the disk: what is found where, and that nothing is ever written over."""

import pytest

from fedrisk.engine.card_files import find_card, load_edits, save_edited
from fedrisk.errors import ConfigError
from fedrisk.models.card_edit import CardEdit
from fedrisk.recipes.scorecard.card_editing import edit_card
from support.card_record import card_record


@pytest.fixture(scope="module")
def record():
    return card_record()


@pytest.fixture(scope="module")
def edited(record):
    return edit_card(record, [CardEdit(points_to_double=40, reason="r", author="a")])


def test_a_card_is_found_again(record, edited, tmp_path):
    save_edited(edited, record, tmp_path / "new")
    found = find_card(str(tmp_path / "new"))
    assert found.edited == edited and found.record.digest() == record.digest() and found.card == edited.card
    file = find_card(str(tmp_path / "new" / "edited_card.json"))
    assert file.edited == edited and file.record is None
    plain = find_card(str(tmp_path / "new" / "scorecard.json"))
    assert plain.card == edited.card and plain.edited is None
    with pytest.raises(ConfigError, match="never takes the place"):
        save_edited(edited, record, tmp_path / "new")


def test_what_is_no_card_is_named(tmp_path):
    with pytest.raises(ConfigError, match="has no card"):
        find_card(str(tmp_path))
    (tmp_path / "edited_card.json").write_text("{}")
    with pytest.raises(ConfigError, match="damaged"):
        find_card(str(tmp_path / "edited_card.json"))
    with pytest.raises(ConfigError, match="there is no card at"):
        find_card(str(tmp_path / "none" / "card.json"))


def test_a_file_of_edits(tmp_path):
    file = tmp_path / "edits.toml"
    file.write_text(
        '[[edit]]\nmerge = ["bank.c0:1-2"]\nreason = "r"\nauthor = "a"\n\n'
        '[[edit]]\nmonotone = { "tax.c0" = "falling" }\nlong_run_rate = 0.04\nreason = "r"\nauthor = "a"\n'
    )
    one, other = load_edits(file)
    assert one == CardEdit(merge=("bank.c0:1-2",), reason="r", author="a")
    assert other.monotone == {"tax.c0": "falling"} and other.long_run_rate == 0.04
    file.write_text("[[edit]]\nmerges = []\n")
    with pytest.raises(ConfigError, match="edit 1: unknown key merges; did you mean merge"):
        load_edits(file)
    file.write_text("[edits]\n")
    with pytest.raises(ConfigError, match="it must have tables"):
        load_edits(file)
