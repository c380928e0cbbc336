"""Pinned keys: what is pinned stays, new names are added, and the stored form is a node's pins.json."""

import json
from pathlib import Path

import pytest

from fedrisk.errors import EnvelopeError, StoreError
from fedrisk.secure.pins import Pins

HUB, BANK, TAX = b"h" * 32, b"b" * 32, b"t" * 32
PINS = Pins(HUB, {"tax": TAX})


def test_a_pinned_key_is_found_and_another_name_is_refused():
    assert PINS.of("tax") == TAX
    with pytest.raises(EnvelopeError, match="no key is pinned for bank; register"):
        PINS.of("bank")


def test_new_names_are_added_and_the_old_pins_stay_as_they_were():
    both = PINS.with_new(HUB, {"bank": BANK}, "pins.json")
    assert both == Pins(HUB, {"tax": TAX, "bank": BANK})
    assert Pins(HUB, {"tax": TAX}) == PINS
    assert both.with_new(HUB, {"tax": TAX}, "pins.json") == both


def test_a_changed_key_is_refused_with_its_owner_and_the_file():
    with pytest.raises(EnvelopeError, match=r"key of tax is not the one pinned in store/pins\.json; ask its"):
        PINS.with_new(HUB, {"tax": BANK, "bank": BANK}, Path("store/pins.json"))
    with pytest.raises(EnvelopeError, match="key of the hub is not"):
        PINS.with_new(BANK, {}, "pins.json")
    with pytest.raises(EnvelopeError, match="key of tax, the hub is not"):
        PINS.with_new(BANK, {"tax": BANK}, "pins.json")


def test_the_stored_form_by_hand_and_back():
    pins = Pins(HUB, {"tax": TAX, "bank": BANK})
    expected = {"hub_identity": "68" * 32, "institutions": {"bank": "62" * 32, "tax": "74" * 32}}
    assert pins.to_json() == json.dumps(expected)
    assert Pins.from_json(pins.to_json()) == pins
    assert Pins.from_json(pins.to_json().encode()) == pins


def test_the_hubs_identity_is_added_once_to_the_pins_of_an_older_version():
    """Its entry is another kind of key, which nothing may be verified with."""
    old = Pins.from_json(json.dumps({"hub": "11" * 32, "institutions": {"tax": "74" * 32}}))
    assert old == Pins(None, {"tax": TAX})
    with pytest.raises(EnvelopeError, match="no identity of the hub is pinned"):
        old.of_hub()
    new = old.with_new(HUB, {}, "pins.json")
    assert (new, new.of_hub()) == (PINS, HUB)
    with pytest.raises(EnvelopeError, match="key of the hub is not"):
        new.with_new(BANK, {}, "pins.json")
    with pytest.raises(EnvelopeError, match="key of tax is not"):
        old.with_new(HUB, {"tax": BANK}, "pins.json")


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"institutions": {}}', '{"hub": "zz", "institutions": {}}'),
        *('{"hub_identity": "zz", "institutions": {}}', '{"hub_identity": "00", "institutions": {"a": 1}}'),
    ],
)
def test_a_damaged_file_is_refused(text):
    with pytest.raises(StoreError, match="damaged"):
        Pins.from_json(text)
