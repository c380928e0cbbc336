"""Lists and measures over the whole way, beside a node that serves: the same scores, and a ratio of both holders."""

import json

import numpy as np
import pandas as pd
import pytest

from fedrisk.serving import registry
from fedrisk.serving.measures import load_measure
from support.served import BANK

pytestmark = pytest.mark.study

RATIO = """\
name = "load_for_sales"
kind = "ratio"
meaning = "load for sales"
purpose = "credit_scoring"
banks = ["bank"]
step = 0.01
terms = [
    { member = "power", column = "load", low = 0.1, high = 4.0 },
    { member = "tax", column = "sales", low = 0.1, high = 4.0 },
]
"""
RULE = """
[[policy.serving.measures]]
measure = "load_for_sales"
banks = ["bank"]
least_members = 2
"""


@pytest.fixture
def list_file(serving, scores, tmp_path):
    """The bank's list with a consent of each."""
    ids = scores.index.tolist()
    tokens = serving.tokens(ids)
    file = tmp_path / "ids.csv"
    pd.DataFrame({"id": ids, "consent": [tokens[i] for i in ids]}).to_csv(file, index=False)
    return file


def test_a_list_is_scored_beside_the_service(serving, fedrisk, scores, list_file, tmp_path):
    node, before = serving.place.joined.nodes[BANK].path, serving.book("tax")
    said = ("score", node, "champion", list_file, "--consent", "consent", "--out", tmp_path / "s.parquet")
    code, out, err = fedrisk(*said, "--json")
    assert code == 0, err
    assert json.loads(out)["scored"] == len(scores)
    table = pd.read_parquet(tmp_path / "s.parquet").set_index("id")
    assert table["score"].tolist() == scores["score"].tolist()
    assert table["external_points"].tolist() == scores["external_points"].tolist()
    after = serving.book("tax")
    assert after["scores"] - before["scores"] == len(scores)
    assert after["questions"] - before["questions"] == 1
    code, _, err = fedrisk(*said)
    assert code == 3
    assert "exists" in err


def test_a_ratio_of_both_holders(serving, fedrisk, list_file, tmp_path):
    file = tmp_path / "load_for_sales.toml"
    file.write_text(RATIO)
    for name in (BANK, "tax", "power"):
        node = serving.node(name)
        if name != BANK:
            with node.institution.file.open("a") as handle:
                handle.write(RULE)
            node = serving.node(name)
        registry.candidate(node, load_measure(file).part(name, node.institution.kind))
        registry.approve(node, load_measure(file).id, who="officer", follows=None)
    bank = serving.place.joined.nodes[BANK].path
    code, out, err = fedrisk(
        "measure", "ask", bank, "load_for_sales", list_file, "--consent", "consent", "--json"
    )
    assert code == 0, err
    got = {row["row"]: row["value"] for row in json.loads(out)["rows"]}
    columns = {}
    for name, column in (("power", "load"), ("tax", "sales")):
        table = serving.node(name).institution.read()
        columns[name] = pd.Series(table.frame[column].to_numpy(), index=table.ids).clip(0.1, 4.0)
    both = (columns["power"] / columns["tax"]).reindex(list(got))
    # Each logarithm is rounded to a hundredth.
    known = both.notna().to_numpy()
    assert 0 < known.sum() < len(got)
    values = np.array([np.nan if v is None else v for v in got.values()])
    assert np.isnan(values[~known]).all()
    assert values[known] == pytest.approx(both[known].to_numpy(), rel=0.011)
