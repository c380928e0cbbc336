"""Edited cards with their history: digests that chain, costs, and the same card once more from the record."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from fedrisk.errors import ConfigError
from fedrisk.models.card_edit import CardEdit
from fedrisk.models.edited_card import EditedCard, card_digest
from fedrisk.recipes.scorecard.card_editing import edit_card, verify_card
from support.card_record import card_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MERGE = CardEdit(merge=("bank.c0:1-2",), reason="few enterprises", author="A. Officer")
DROP = CardEdit(drop=("tax.c0",), reason="not stable", author="B. Officer")
SCALE = CardEdit(points_to_double=40, long_run_rate=0.05, reason="the bank's scale", author="A. Officer")


@pytest.fixture(scope="module")
def record():
    return card_record()


@pytest.fixture(scope="module")
def edited(record):
    return edit_card(record, [MERGE, DROP, SCALE], now=NOON)


def test_digests_chain(record, edited):
    assert edited.broken() == []
    first, second, third = edited.history
    assert first.before == card_digest(edit_card(record).card)
    assert (second.before, third.before, third.after) == (first.after, second.after, edited.digest)
    assert (first.previous, second.previous, third.previous) == ("", first.digest, second.digest)
    assert {e.record for e in edited.history} == {record.digest()}
    assert [e.time for e in edited.history] == ["2026-03-01T12:00:00Z"] * 3


def test_a_history_goes_on(record):
    other = replace(SCALE, points_to_double=30, reason="another system")
    first = edit_card(record, [SCALE], now=NOON)
    on = edit_card(record, [other], before=EditedCard.from_json(first.to_json()), now=NOON)
    assert on.broken() == [] and on.history[:1] == first.history and on.card.scale.double == 30


@pytest.mark.long
def test_a_history_goes_on_as_if_it_had_been_made_at_once(record, edited):
    steps = edit_card(record, [MERGE], now=NOON)
    for edit in (DROP, SCALE):
        steps = edit_card(record, [edit], before=EditedCard.from_json(steps.to_json()), now=NOON)
    assert steps == edited
    assert verify_card(steps, record) == []


def tampered(edited, **what):
    first, *rest = edited.history
    return replace(edited, history=(replace(first, **what), *rest))


def test_whatever_is_changed_is_seen(record, edited):
    assert "before" in tampered(edited, edit=replace(MERGE, reason="other")).broken()[0]
    assert tampered(edited, after="0" * 64).broken()
    assert replace(edited, history=edited.history[1:]).broken()
    assert replace(edited, history=edited.history[:2]).broken() == [
        "the card is not the one after its last edit"
    ]
    other = replace(edited, card=replace(edited.card, base_points=edited.card.base_points + 9))
    assert other.broken() == ["the card is not the one after its last edit"]
    plain = json.loads(edited.to_json())
    plain["history"][1]["edit"]["author"] = "C"
    with pytest.raises(ConfigError, match="edit 2 was changed after it was made"):
        EditedCard.from_json(json.dumps(plain))


def test_a_card_that_does_not_follow_is_seen(record, edited):
    """A history whose digests were all made anew around another card is held against the record."""
    card = replace(edited.card, base_points=edited.card.base_points + 9)
    *rest, last = edited.history
    forged = replace(edited, card=card, history=(*rest, replace(last, after=card_digest(card))))
    assert forged.broken() == []
    assert verify_card(forged, record) == [
        "the card is not the one that follows from the record by these edits"
    ]
    assert verify_card(edited, card_record(seed=2)) == ["the edits were made on another release record"]
    with pytest.raises(ConfigError, match="another release record"):
        edit_card(card_record(seed=2), [SCALE], before=edited)


def test_costs_say_what_a_reader_needs(edited):
    merge, drop, scale = (e.costs for e in edited.history)
    assert drop["auc"]["low"] < drop["auc"]["change"] < drop["auc"]["high"] < 0
    assert abs(merge["auc"]["change"]) < abs(drop["auc"]["change"]) / 3
    assert scale["auc"]["change"] == 0 and scale["points"] == []
    # Bayes' rule: where defaults are .05 of all. Among these rows there are more, who stay riskier than others.
    assert 0.05 < scale["mean_probability"][1] < 0.065
    assert drop["mean_probability"][1] == pytest.approx(drop["mean_probability"][0], rel=0.04)
    assert merge["information"]["bank.c0"][1] <= merge["information"]["bank.c0"][0]
    assert drop["information"] == {"tax.c0": [pytest.approx(drop["information"]["tax.c0"][0]), None]}
    assert all(row["after"] is None for row in drop["points"] if row["feature"] == "tax.c0")
    assert drop["holdout"] is None


def test_the_released_card_is_taken_as_it_is_and_not_made_anew(record):
    """Last digits differ between machines; the history begins with the digest of the very file."""
    own = edit_card(record).card
    averages = tuple(float(np.nextafter(a, 1e9)) for a in own.averages)
    released = replace(own, averages=averages)
    assert edit_card(record, released=released).card == released
    assert edit_card(record, [SCALE], released=released).history[0].before == card_digest(released)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (replace(MERGE, reason=""), "no reason"),
        (replace(MERGE, author=""), "no author"),
        (CardEdit(reason="r", author="a"), "changes nothing"),
        (CardEdit(drop=("tax.c0 x c1",), reason="r", author="a"), "no pair"),
    ],
)
def test_edits_that_say_too_little_are_refused(record, edit, said):
    with pytest.raises(ConfigError, match=said):
        edit_card(record, [edit])


def test_a_study_without_a_card_has_nothing_to_edit(record):
    with pytest.raises(ConfigError, match="no finished scorecard study"):
        edit_card(replace(record, releases=()), [MERGE])


def forged(edited, place, **what):
    """The history with one entry changed, and all digests after it made anew."""
    out = list(edited.history)
    out[place] = replace(out[place], **what)
    for k in range(1, len(out)):
        out[k] = replace(out[k], previous=out[k - 1].digest)
    return replace(edited, history=tuple(out))


def test_a_cost_that_was_forged_with_all_digests_is_found_from_the_record(record):
    edited = edit_card(record, [SCALE], now=NOON)
    costs = edited.history[0].costs
    wrong = {"mean_probability": [0.05, 0.01], "auc": {**costs["auc"], "change": 0.03}, "spread": None}
    made = forged(edited, 0, costs={**costs, **wrong})
    assert made.broken() == []
    assert verify_card(made, record) == [
        "edit 1: what it is said to cost does not follow (auc, mean_probability, spread)"
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "1"},
        {"time": "\x1b[31mnow"},
        {"before": 7},
        {"record": "0" * 63},
        {"costs": {"auc": {}}},
        {"costs": {"auc": {"change": "x", "low": 0, "high": 0}}},
    ],
)
def test_an_entry_of_another_form_is_no_entry(edited, wrong):
    made = forged(edited, 0, **wrong)
    with pytest.raises(ConfigError, match="damaged"):
        EditedCard.from_json(made.to_json())


@pytest.mark.parametrize(
    "wrong", [{"format": 0}, {"format": True}, {"history": {}}, {"study": "a\x1b[2J"}, {"attempt": 7}]
)
def test_a_file_of_another_form_is_no_edited_card(edited, wrong):
    plain = json.loads(edited.to_json()) | wrong
    for text in (json.dumps(plain), "[" * 100_000):
        with pytest.raises(ConfigError, match="damaged"):
            EditedCard.from_json(text)
