"""Whole drafts: a draft fits its own table, names nothing rare, and is refused until a person confirms it."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedrisk.cli.drafting import show_draft
from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.dictionary_file import confirmed, entries
from fedrisk.data.draft.draft import draft_dictionary
from fedrisk.data.draft.look import RARE
from fedrisk.data.draft.write import dictionary_text, table_lines
from fedrisk.data.source import TableSource
from fedrisk.data.table import examine_table
from fedrisk.errors import ConfigError, DataError
from support.own_data import KINDS, loans, tax, write_own_data
from support.random_tables import random_table

TABLES = 60


def drafted(folder, frame, kind="bank", name="t.csv", **how):
    if name.endswith(".parquet"):
        frame.to_parquet(folder / name, index=False)
    else:
        frame.to_csv(folder / name, index=False)
    source = TableSource(source=name)
    return source, draft_dictionary(source, folder, kind=kind, **how)


def content(text):
    return tomllib.loads(text)["dictionary"]


def settled(text):
    """The dictionary once a person has confirmed everything."""
    return load_dictionary(content(confirmed(text, None, by="somebody", day="2026-01-31")))


@pytest.mark.parametrize("seed", range(TABLES))
def test_a_draft_fits_its_own_table(tmp_path, seed):
    """Once confirmed as it is, nothing about the table is an error: bounds, lists, codes and kinds hold its values."""
    source, draft = drafted(tmp_path, random_table(seed))
    text = dictionary_text(draft, horizon="12 months")
    dictionary = settled(text)
    wrong = [str(c) for c in examine_table(source, dictionary, base=tmp_path)[1] if c.severity == "error"]
    assert not wrong
    assert dictionary.id == "uscc" and dictionary.label.column == "bad"


@pytest.mark.parametrize("seed", range(0, TABLES, 6))
def test_a_table_gives_the_same_draft_from_csv_and_parquet(tmp_path, seed):
    frame = random_table(seed)
    texts = frame.map(lambda v: None if v is None or v != v else str(v))
    said = [dictionary_text(drafted(tmp_path, texts, name=name)[1]) for name in ("t.csv", "t.parquet")]
    assert said[0] == said[1].replace("t.parquet", "t.csv")


@pytest.mark.parametrize("seed", range(0, TABLES, 6))
def test_no_draft_is_taken_before_somebody_has_confirmed_it(tmp_path, seed):
    text = dictionary_text(drafted(tmp_path, random_table(seed))[1], horizon="12 months")
    with pytest.raises(ConfigError, match=r"were drafted from the table and confirmed by nobody"):
        load_dictionary(content(text))
    # Not with all columns but one confirmed either.
    names = [e.name for e in entries(text) if e.drafted]
    with pytest.raises(ConfigError, match=re.escape(names[-1] if names[-1] != "label" else "the label")):
        load_dictionary(content(confirmed(text, names[:-1], by="somebody", day="2026-01-31")))


def test_every_choice_from_the_table_is_marked(tmp_path):
    """Bounds, edges, lists, codes and tolerances of features: each line says CONFIRM."""
    text = dictionary_text(drafted(tmp_path, random_table(1, rows=800))[1])
    chosen = re.findall(r"^(?:low|high|bins|categories|outside|special) = .*$", text, re.MULTILINE)
    assert len(chosen) > 4
    assert all("# CONFIRM" in line for line in chosen)


def test_rare_values_and_extremes_are_named_nowhere(tmp_path):
    rng = np.random.default_rng(0)
    frame = random_table(2, rows=1000)
    frame["city"] = rng.choice(["north", "south"], 1000)
    frame.loc[: RARE - 2, "city"] = "atlantis"
    frame["sales"] = np.exp(rng.normal(10, 1, 1000)).round(2)
    frame.loc[3, "sales"] = 83_112_931.27
    frame["score"] = rng.integers(300, 900, 1000)
    frame.loc[: RARE - 2, "score"] = -77_777
    _, draft = drafted(tmp_path, frame)
    text = dictionary_text(draft)
    assert "atlantis" not in text and "north" in text
    assert f"1 rarer value is not named ({RARE - 1} rows)" in text
    assert "83" not in re.sub(r"#.*", "", text[text.index('name = "sales"') :].split("drafted")[0])
    public = load_dictionary(
        {**content(confirmed(dictionary_text(draft, horizon="h"), None, by="x", day="d"))}
    )
    assert "77777" not in str(public.public()).replace("_", "")
    assert not any(code in text for code in frame["uscc"])


def test_bounds_do_not_move_with_one_enterprise(tmp_path):
    """The largest value may be anything: the draft is the same."""
    frame = random_table(4, rows=3000)
    frame["sales"] = np.exp(np.random.default_rng(1).normal(10, 1, 3000)).round(2)
    said = []
    for largest in (1e6, 5e8):
        frame.loc[7, "sales"] = largest
        said.append(dictionary_text(drafted(tmp_path, frame)[1]))
    assert said[0] == said[1]


def test_the_bank_of_the_walk_through(tmp_path):
    """40 columns: every kind is right, the id and the label are found, the codes are named."""
    write_own_data(tmp_path, rows=4000)
    draft = draft_dictionary(TableSource(source="data/loans.csv"), tmp_path, kind="bank")
    found = {c.source: c.kind for c in draft.columns} | {c.source: "left out" for c in draft.left_out}
    assert found == KINDS
    assert (draft.id.column, draft.id.scheme) == ("uscc", "uscc")
    assert (draft.label.column, draft.label.positive, draft.label.negative) == ("bad", ("1",), ("0",))
    by_name = {c.source: dict(c.settings) for c in draft.columns}
    assert set(by_name["months_since_default"]["special"]) == {"-9", "-8"}
    assert by_name["months_since_default"]["low"] == 0
    assert by_name["limit"]["grid"] == "log"
    assert by_name["turnover_m3"]["direction"] == "decreasing"
    assert "direction" not in by_name["balance_m1"]


def test_the_tax_office_is_read_as_a_spreadsheet_wrote_it(tmp_path):
    write_own_data(tmp_path, rows=600)
    draft = draft_dictionary(TableSource(source="data/tax.csv"), tmp_path, kind="holder")
    assert draft.settings == {"encoding": "gb18030", "delimiter": ";", "decimal": ","}
    assert {c.source: c.kind for c in draft.columns} == {
        "纳税信用": "category",
        "年销售收入": "number",
        "未申报月数": "number",
        "开票金额": "number",
        "欠税": "flag",
    }
    assert draft.label is None


def test_what_tells_the_outcome_is_told_to_the_person_alone(tmp_path, capsys):
    """What is known only afterwards is asked about; the dictionary itself, which is public, goes by no label."""
    frame = random_table(6, rows=1000)
    frame["written_off"] = np.where(frame["bad"] == 1, 500 + np.arange(1000), 0)
    frame["late_days"] = np.random.default_rng(2).integers(0, 50, 1000)
    _, draft = drafted(tmp_path, frame)
    assert draft.telling == ("written_off",)
    show_draft(draft, tmp_path / "bank.toml")
    said = [line for line in capsys.readouterr().out.splitlines() if "written_off" in line]
    assert len(said) == 1 and "When is it known?" in said[0] and "written_off feature=false" in said[0]


def test_a_draft_is_the_same_whatever_the_labels_are(tmp_path):
    """But for the count of rows without one. Columns that tell the outcome would be public if they were left out."""
    frame = random_table(6, rows=1000)
    frame["written_off"] = np.where(frame["bad"] == 1, 500 + np.arange(1000), 0)
    text = dictionary_text(drafted(tmp_path, frame)[1])
    frame["bad"] = np.random.default_rng(4).permutation(frame["bad"])
    assert dictionary_text(drafted(tmp_path, frame)[1]) == text and "written_off" in text


def test_an_outcome_at_a_holder_is_left_out(tmp_path):
    _, draft = drafted(tmp_path, random_table(7), kind="holder")
    assert draft.label is None
    assert "outcome" in {c.source: c.left_out for c in draft.left_out}["bad"]


def test_lateness_at_a_holder_is_a_feature(tmp_path):
    frame = random_table(7).drop(columns="bad")
    frame["rent_late"] = np.random.default_rng(1).integers(0, 2, len(frame))
    assert "rent_late" in drafted(tmp_path, frame, kind="holder")[1].names


def test_columns_without_a_name_or_a_text_are_left_out_with_the_reason(tmp_path):
    frame = random_table(1)
    frame[""] = frame["bad"]
    frame["parts"] = [[1]] * len(frame)
    _, draft = drafted(tmp_path, frame, name="t.parquet")
    reasons = {p.source: p.left_out for p in draft.left_out}
    assert "no name" in reasons[""]
    assert "type list" in reasons["parts"]


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("sqlite:///data/t.db", "sqlite:///../data/t.db"),
        ("sqlite:////data/t.db", "sqlite:////data/t.db"),
        ("sqlite:///${HERE}/t.db", "sqlite:///${HERE}/t.db"),
        ("postgresql://h/d", "postgresql://h/d"),
    ],
)
def test_a_database_file_is_written_as_seen_from_the_institution_file(url, written):
    assert table_lines(url, Path("institutions"), {})[1] == f'source = "{written}"'


def test_names_are_made_valid_and_unlike(tmp_path):
    frame = random_table(8)
    for name in ("ROA(C) before tax %", "ROA_C_before_tax", "external_score", "税率 (%)"):
        frame[name] = np.random.default_rng(3).random(len(frame))
    source, draft = drafted(tmp_path, frame)
    names = draft.names
    assert names["ROA(C) before tax %"] == "ROA_C_before_tax"
    assert names["ROA_C_before_tax"] == "ROA_C_before_tax_2"
    assert names["external_score"] == "external_score_own"
    assert names["税率 (%)"] == "税率"
    dictionary = settled(dictionary_text(draft, horizon="h"))
    assert dictionary.column("税率").source == "税率 (%)"
    assert not [c for c in examine_table(source, dictionary, base=tmp_path)[1] if c.severity == "error"]


@pytest.mark.parametrize("first", ["1,2,3", "91350100M000100Y43,3,a", ",,"])
def test_a_first_row_of_values_never_becomes_names(tmp_path, first):
    """Names are public."""
    (tmp_path / "t.csv").write_text(f"{first}\n" + "".join(f"{k},{k},x\n" for k in range(30)))
    with pytest.raises(DataError) as caught:
        draft_dictionary(TableSource(source="t.csv"), tmp_path, kind="holder")
    assert "91350100" not in str(caught.value)


def test_a_person_may_name_id_and_label(tmp_path):
    frame = random_table(9)
    frame["second"] = np.arange(len(frame))[::-1] + 10_000_000
    frame["result"] = np.where(frame["bad"] == 1, "CHGOFF", "P I F")
    _, draft = drafted(tmp_path, frame, id_column="second", label_column="result")
    assert (draft.id.column, draft.id.scheme) == ("second", "opaque")
    assert (draft.label.positive, draft.label.negative) == (("CHGOFF",), ("P I F",))
    with pytest.raises(ConfigError, match=r'did you mean "second"'):
        drafted(tmp_path, frame, id_column="secnd")


def test_a_table_of_loans_says_that_its_ids_repeat(tmp_path):
    frame = random_table(10)
    frame.loc[200:, "uscc"] = frame["uscc"][:200].to_numpy()
    text = dictionary_text(drafted(tmp_path, frame)[1])
    assert 'id = "uscc"  # 400 rows share theirs with another' in text


def test_ids_that_lost_their_digits_are_no_ids(tmp_path):
    frame = random_table(12).assign(uscc=[f"{913501000000000000 + 10**12 * k:.6E}" for k in range(400)])
    _, draft = drafted(tmp_path, frame)
    assert draft.id.column is None
    assert "export the column as text" in {c.source: c.left_out for c in draft.left_out}["uscc"]


def test_long_texts_are_no_categories(tmp_path):
    frame = random_table(11)
    frame["remark"] = [
        "called the owner, who said that the invoice will be paid by the end of the month"
    ] * 200 + ["no"] * 200
    assert "remark" in [c.source for c in drafted(tmp_path, frame)[1].left_out]


def test_tables_without_an_id_or_a_label_say_what_to_fill_in(tmp_path):
    frame = pd.DataFrame(
        {"x": np.random.default_rng(4).random(300), "y2": np.random.default_rng(5).random(300)}
    )
    text = dictionary_text(drafted(tmp_path, frame)[1])
    assert 'id = "FILL IN"' in text
    with pytest.raises(ConfigError) as caught:
        load_dictionary(content(text))
    assert 'id says "FILL IN"' in str(caught.value)
    assert 'label: horizon says "FILL IN"' in str(caught.value)


def test_the_frames_of_the_walk_through_have_the_columns_that_it_says():
    rng = np.random.default_rng(0)
    ids = np.array(["a", "b", "c"])
    assert len(loans(rng, ids, np.zeros(3), np.zeros(3, dtype=int)).columns) == 40
    assert len(tax(rng, ids, np.zeros(3)).columns) == 6
