"""Protocols: what is common, and which side is told to upgrade."""

import pytest

import fedrisk
from fedrisk.errors import VersionError
from fedrisk.protocol import versions
from fedrisk.protocol.versions import Spoken, check_of_hub, common, of_members, of_node


@pytest.fixture(autouse=True)
def _third(monkeypatch):
    """A version that speaks protocols 3 and 2."""
    monkeypatch.setattr(versions, "PROTOCOL", 3)
    monkeypatch.setattr(versions, "SUPPORTED", frozenset({2, 3}))


def spoken(*protocols, study_format=1):
    return Spoken(protocols=protocols, fedrisk="9.9", study_format=study_format)


def test_a_version_reads_its_own_protocol_and_the_one_before():
    assert Spoken.here() == Spoken(protocols=(2, 3), fedrisk=fedrisk.__version__, study_format=3)
    check_of_hub(3)
    check_of_hub(2)


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        (4, "the hub speaks protocol 4, and this node .* 2 and 3: upgrade fedrisk here"),
        (1, "the hub speaks protocol 1, and this node .* 2 and 3: fedrisk at the hub has to be upgraded"),
        (0, "names no protocol, .* fedrisk at the hub has to be upgraded"),
    ],
)
def test_a_node_says_which_side_has_to_be_upgraded(protocol, said):
    with pytest.raises(VersionError, match=said):
        check_of_hub(protocol)


def test_the_highest_common_protocol_is_taken():
    assert common([(2, 3), (3, 4)]) == 3
    assert common([(2, 3), (1, 2)]) == 2
    assert common([(1,)]) is None
    assert common([(3, 4), (1, 2)]) is None


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (
            spoken(1),
            r"tax \(fedrisk 9.9\) speaks protocol 1 only, .* 2 and 3; upgrade fedrisk at tax, or run",
        ),
        (
            spoken(4, 5),
            "tax .* speaks protocol 4 and 5, .* upgrade fedrisk at the hub, or have tax run the earlier",
        ),
        (None, "tax runs a fedrisk from before protocols had numbers, .* upgrade fedrisk at tax"),
        (spoken(3), "tax .* does not know a protocol, an action or a field .* upgrade fedrisk at tax"),
    ],
)
def test_the_hub_says_which_side_has_to_be_upgraded(there, said):
    import re

    assert re.match(said, of_node("tax", there))


def test_the_hub_says_that_a_study_is_of_a_later_format():
    said = of_node("tax", spoken(2, 3), study_format=2)
    assert "reads studies up to format 1, and this one has format 2; upgrade fedrisk at tax" in said


def test_of_members_without_a_common_protocol_the_one_behind_is_named():
    said = of_members({"bank": spoken(3, 4), "tax": spoken(1, 2)})
    assert "bank (fedrisk 9.9): 3 and 4; tax (fedrisk 9.9): 1 and 2" in said
    assert "upgrade fedrisk at tax" in said


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"protocols": [], "fedrisk": "1", "study_format": 1},
        {"protocols": [0], "fedrisk": "1", "study_format": 1},
        {"protocols": [1] * 17, "fedrisk": "1", "study_format": 1},
        {"protocols": ["1"], "fedrisk": "1", "study_format": 1},
        {"protocols": [1], "fedrisk": "1\n[red]", "study_format": 1},
        {"protocols": [1], "fedrisk": 1, "study_format": 1},
        {"protocols": [1], "fedrisk": "1"},
        {"protocols": 1, "fedrisk": "1", "study_format": 1},
    ],
)
def test_what_another_side_says_is_taken_in_its_form_alone(content):
    assert Spoken.found(content) is None


def test_what_another_side_says_is_put_in_order():
    assert Spoken.found({"protocols": [2, 1, 2], "fedrisk": "1", "study_format": 1}) == Spoken(
        protocols=(1, 2), fedrisk="1", study_format=1
    )
