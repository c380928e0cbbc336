"""One enterprise is one loan and has one outcome, however its id is spelled where."""

from types import SimpleNamespace

import pytest

from fedrisk.institution import load_institution
from fedrisk.watch_rules import WatchRules
from fedrisk.watching.figures import month_figures
from fedrisk.watching.history import Kept
from fedrisk.watching.loans import write_active
from fedrisk.watching.losses import month_losses
from fedrisk.watching.outcomes import Taken, take_outcomes
from fedrisk.watching.spelling import as_before, spelt
from support import watched_year
from support.watching import read_ids, write

ONE, TWO = "91350100M000100Y43", "92369986TDP78JRK15"
BANK = """
name = "city_bank"
kind = "bank"
table = { source = "table.csv" }
watch = { exposure = "owed" }
[dictionary]
id = "id"
columns = [{ name = "owed", kind = "number", low = 0, high = 1000, meaning = "outstanding" }]
label = { column = "late", positive = [1], negative = [0], horizon = "12 months", meaning = "90 days late" }
"""


@pytest.fixture
def kept(tmp_path):
    """A watch in which both are written in the bank's way."""
    kept = Kept(tmp_path / "watch").opened()
    write(kept, "2026-01", {ONE.lower(): 600, f"{TWO[:9]} {TWO[9:]}": 500, "none": None})
    return kept


def bank(folder, *rows):
    folder.joinpath("table.csv").write_text("\n".join(["id,owed,late", *rows]) + "\n", "utf-8")
    folder.joinpath("bank.toml").write_text(BANK, "utf-8")
    return load_institution(folder / "bank.toml")


def outcomes(folder, *rows):
    file = folder / "matured.csv"
    file.write_text("\n".join(["id,month,outcome", *rows]) + "\n", "utf-8")
    return file


def test_outcomes_are_found_in_any_spelling(kept, tmp_path):
    file = outcomes(tmp_path, f"{ONE},2026-01,0", f" {TWO.lower()} ,2026-01-31,1", "none,2026-01,1")
    assert take_outcomes(kept, file, scheme="uscc") == Taken(new=2, unknown=1)
    assert take_outcomes(kept, file, scheme="uscc") == Taken(same=2, unknown=1)
    found = month_figures(watched_year.node(), kept, kept.months()[0]).back_test.cohort
    assert (found.known, found.defaults) == (2, 1)


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_loans_one_that_defaults_is_a_default(kept, tmp_path, order):
    rows = [f"{ONE},2026-01,1", f"{ONE.lower()},2026-01,0"][::order]
    assert take_outcomes(kept, outcomes(tmp_path, *rows), scheme="uscc") == Taken(new=1)
    assert kept.outcomes()["outcome"].to_pylist() == [1]
    assert take_outcomes(kept, outcomes(tmp_path, f"{ONE},2026-01,0"), scheme="uscc") == Taken(changed=1)
    assert kept.outcomes()["outcome"].to_pylist() == [0]


def test_an_enterprise_is_asked_about_once_and_keeps_its_id(tmp_path):
    made = bank(tmp_path, f"{ONE},1,0", f"{ONE.lower()},2,0", f"{TWO},3,0", "strange,4,0", ",5,0")
    before = [[f"{TWO[:9]} {TWO[9:]}"], [TWO.lower(), ONE.lower()]]
    counts = write_active(made, WatchRules(), tmp_path / "list.parquet", before)
    assert (counts.loans, counts.repeated, counts.nameless) == (3, 1, 1)
    assert read_ids(tmp_path / "list.parquet") == [ONE.lower(), f"{TWO[:9]} {TWO[9:]}", "strange"]


def test_the_order_of_the_table_is_in_no_list_that_members_see(tmp_path):
    rows = [f"{ONE},1,0", f"{TWO},2,0"]
    for order in (1, -1):
        write_active(bank(tmp_path, *rows[::order]), WatchRules(), tmp_path / "list.parquet")
        assert read_ids(tmp_path / "list.parquet") == sorted([ONE, TWO])


def test_the_newest_spelling_counts():
    assert as_before(["A1"], [["A1"], ["a1"]], "opaque") == ["A1"]
    assert as_before(["A1", "b"], [["c"], ["a1"], ["A1"]], "opaque") == ["a1", "b"]
    assert spelt(["a 1", "A1 "], "opaque") == ["A1", "A1"]


def test_what_is_outstanding_is_found_in_any_spelling(kept, tmp_path):
    made = bank(tmp_path, f"{ONE},100,0", f"{TWO},30,0")
    rows = (
        kept.read_month(kept.months()[0], ["id", "score", "probability"]).to_pandas().dropna().set_index("id")
    )
    node = SimpleNamespace(institution=made)
    assert month_losses(node, kept, kept.months()[0], rows).exposure == 130
