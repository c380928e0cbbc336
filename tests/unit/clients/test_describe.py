"""What an institution refuses of a study as it is described, before it looks at anything of its own."""

from types import SimpleNamespace

import pytest

from fedrisk.clients.describe import describe
from fedrisk.errors import VersionError
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import find_recipe, study_from


def test_a_hub_that_states_a_study_in_too_early_a_format_is_refused():
    """Of measures of two offices by another's cells: in the first format some members would draw too little noise."""
    members = {"bank": "bank", "tax": "holder", "north": "holder", "south": "holder"}
    study = study_from(
        {
            "name": "loads",
            "purpose": "p",
            "recipe": "statistics",
            "privacy": {"epsilon": 1.0},
            "institutions": [{"name": name, "role": role} for name, role in members.items()],
            "statistics": {
                "by": ["tax.county"],
                "measures": [{"kind": "mean", "column": "power.load"}],
                "offices": {"power": ["north", "south"]},
            },
        }
    )
    content = study.model_dump(mode="json")
    assert content.pop("format") == 2
    request = Payload({"study": content, "attempt": "a" * 32, "research_seed": None})
    with pytest.raises(
        VersionError, match="format 2, and the hub states it in an earlier one.*to be upgraded"
    ):
        describe(SimpleNamespace(name="tax"), request, find=find_recipe)
