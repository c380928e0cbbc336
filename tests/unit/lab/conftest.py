"""A table of 40 loans, as a file of a data set states it."""

import copy

import pandas as pd
import pytest

from fedrisk.lab.data_set import load_data_set
from fedrisk.toml_file import toml_text

RULES = {
    "name": "tiny",
    "title": "forty loans",
    "licence": "made up",
    "citation": "nobody",
    "table": {"source": "loans.csv"},
    "parties": [
        {"name": "lender", "role": "bank"},
        {"name": "office", "role": "holder", "columns": ["sales", "trade"]},
    ],
    "left_out": {"Term": "known only after the outcome"},
    "expected": {"default_rate": 0.25, "enterprises": 40},
    "dictionary": {
        "id": "loan",
        "id_scheme": "opaque",
        "columns": [
            {"name": "debt", "source": "Debt", "kind": "number", "meaning": "debt", "low": 0, "high": 100},
            {"name": "late", "kind": "number", "meaning": "late", "low": 0, "high": 9, "bins": [0.5, 2.5]},
            {
                "name": "sales",
                "kind": "number",
                "meaning": "sales",
                "low": 0,
                "high": 99,
                "missing_values": [-1],
            },
            {"name": "trade", "kind": "category", "meaning": "trade", "categories": ["farm", "shop"]},
        ],
        "label": {"column": "bad", "positive": ["yes"], "negative": ["no"], "horizon": "a year"},
    },
}


@pytest.fixture
def loans(tmp_path):
    """The table: 10 of 40 default, 24 in the north; sales of one are not known."""
    frame = pd.DataFrame(
        {
            "loan": [f"L{k:02d}" for k in range(40)],
            "Debt": range(40),
            "late": [k % 4 for k in range(40)],
            "sales": [-1, *range(1, 40)],
            "trade": ["farm", "shop"] * 20,
            "bad": ["yes" if k % 4 == 0 else "no" for k in range(40)],
            "region": ["north" if k < 24 else "south" for k in range(40)],
            "Term": 1,
        }
    )
    frame.to_csv(tmp_path / "loans.csv", index=False)
    return frame


@pytest.fixture
def stated(tmp_path, loans):
    """Writes the file with changes, and loads it: ``stated(thin={"positives": 3})``."""

    def write(file="tiny.toml", **changes):
        content = {k: v for k, v in (copy.deepcopy(RULES) | changes).items() if v is not None}
        (tmp_path / file).write_text(toml_text(content), encoding="utf-8")
        return load_data_set(tmp_path / file)

    return write
