"""Small studies and their public columns."""

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.features import features_of
from fedrisk.recipes import study_from
from fedrisk.study_members import BANK

SIZES = {"bank": [3, 4], "tax": [5], "power": [2, 2, 3]}
OWNERS = {"bank": [0, 0, 1], "tax": [2, 2], "power": [3, 4, 4]}
RADII = {"bank": 1.5, "tax": 0.75, "power": 2.0}


def study(banks=1, holders=("tax", "power"), *, epsilon=1.0, delta=1e-6, colluders=1, by_bank=False):
    """A scorecard study of so many banks and these holders."""
    names = ["bank"] if banks == 1 else [f"b{i}" for i in range(banks)]
    return study_from(
        {
            "name": "s",
            "purpose": "credit_scoring",
            "privacy": {"epsilon": epsilon, "delta": delta, "colluders": colluders},
            "evaluation": {"by_bank": by_bank},
            "institutions": [
                *({"name": n, "role": "bank"} for n in names),
                *({"name": n, "role": "holder"} for n in holders),
            ],
        }
    )


def features():
    """Two numbers, of which one wants private edges, and a flag, at the banks and at the tax office."""
    dictionary = load_dictionary(
        {
            "id": "id",
            "id_scheme": "opaque",
            "columns": [
                {"name": "x", "kind": "number", "meaning": "x", "low": 0.0, "high": 1.0, "grid": "linear"},
                {"name": "y", "kind": "number", "meaning": "y", "low": 0.0, "high": 4.0, "bins": [1.0, 2.0]},
                {"name": "late", "kind": "flag", "meaning": "late"},
            ],
        }
    )
    return [*features_of(dictionary, BANK), *features_of(dictionary, "tax")]
