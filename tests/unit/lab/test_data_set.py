"""Data sets by a file alone: who gets which rows, what is thinned, what is written, and what a wrong file is told."""

import math
import os

import numpy as np
import pandas as pd
import pytest

from fedrisk.engine.in_process import run_local
from fedrisk.errors import ConfigError, DataError
from fedrisk.institution import find_institutions, load_institution
from fedrisk.lab.data_set import load_data_set
from fedrisk.lab.data_set_file import data_set_names
from fedrisk.lab.pooled import pooled
from fedrisk.recipes import load_study

DATA = os.environ.get("FEDRISK_DATA")
real = pytest.mark.skipif(not DATA, reason="FEDRISK_DATA is not set: real data absent")
BANKS = [
    {"name": "north", "role": "bank", "only": {"region": "north"}},
    {"name": "south", "role": "bank", "only": {"region": "south"}},
]
OFFICE = {"name": "office", "role": "holder", "columns": ["sales", "trade"]}


def tables(prepared):
    """Each institution's table as it reads it."""
    return {name: load_institution(file).read() for name, file in prepared.institutions.items()}


def ids(prepared):
    return {name: set(t.ids) for name, t in tables(prepared).items()}


def test_columns_are_split_and_codes_are_gone(stated, tmp_path):
    made = stated().prepare(tmp_path / "out")
    lender, office = tables(made).values()
    assert list(lender.frame) == ["debt", "late"] and list(office.frame) == ["sales", "trade"]
    assert lender.label.sum() == 10 and office.label is None
    assert lender.frame["debt"].tolist() == list(range(40))
    assert np.isnan(office.frame["sales"][0]) and office.frame["sales"][1] == 1
    text = made.institutions["lender"].read_text()
    assert "research = true" in text and "# Public or simulated data" in text and "Debt" not in text
    assert made.rows == 40
    study = load_study(made.study)
    assert study.members == ("lender", "office") and study.name == "tiny"
    assert (study.expected.enterprises, study.expected.default_rate) == (40, 0.25)
    assert find_institutions(made.study, study.members) == {
        n: p.resolve() for n, p in made.institutions.items()
    }


def test_rows_by_the_values_of_a_column(stated, tmp_path):
    made = stated(parties=[*BANKS, OFFICE]).prepare(tmp_path / "out")
    found = ids(made)
    assert found["north"] == {f"L{k:02d}" for k in range(24)}
    assert found["south"] == {f"L{k:02d}" for k in range(24, 40)}
    assert len(found["office"]) == 40
    assert load_study(made.study).inclusion_probability == 1.0


def test_rows_by_shares_are_in_exactly_one_bank(stated, tmp_path):
    banks = [{"name": "large", "role": "bank", "share": 3.0}, {"name": "small", "role": "bank", "count": 2}]
    found = ids(stated(parties=[*banks, OFFICE]).prepare(tmp_path / "out"))
    assert [len(found[n]) for n in ("large", "small_1", "small_2")] == [24, 8, 8]
    assert len(set.union(*(found[n] for n in ("large", "small_1", "small_2")))) == 40


def test_some_are_customers_of_two_banks(stated, tmp_path):
    banks = [{"name": "bank", "role": "bank", "count": 2}]
    made = stated(parties=[*banks, OFFICE], split={"overlap": 0.25}).prepare(tmp_path / "out")
    found = ids(made)
    assert len(found["bank_1"] & found["bank_2"]) == 10 and len(found["bank_1"] | found["bank_2"]) == 40
    assert load_study(made.study).inclusion_probability == 0.8


def test_banks_that_are_unlike_share_out_each_class(stated, tmp_path):
    banks = [{"name": "bank", "role": "bank", "count": 2}]
    split = {"kind": "dirichlet", "over": "label", "alpha": 1e9}
    found = tables(stated(parties=[*banks, OFFICE], split=split).prepare(tmp_path / "out"))
    assert [int(found[n].label.sum()) for n in ("bank_1", "bank_2")] == [5, 5]
    assert [len(found[n]) for n in ("bank_1", "bank_2")] == [20, 20]


def test_a_split_may_be_over_a_column_that_nobody_holds(stated, tmp_path):
    banks = [{"name": "bank", "role": "bank", "count": 2}]
    office = OFFICE | {"columns": ["sales"]}
    stated_so = {"parties": [*banks, office], "left_out": {"trade": "too coarse"}}
    split = {"kind": "dirichlet", "over": "trade", "alpha": 1e9}
    made = stated(split=split, **stated_so).prepare(tmp_path / "out")
    farms = {f"L{k:02d}" for k in range(0, 40, 2)}
    assert [len(ids(made)[n] & farms) for n in ("bank_1", "bank_2")] == [10, 10]
    # Nobody of a shop defaults, so that a bank of shops could learn nothing.
    with pytest.raises(
        DataError, match="gets no row with a default, or none without; raise its share, alpha"
    ):
        stated(split=split | {"alpha": 1e-6}, **stated_so).prepare(tmp_path / "out")


def test_a_column_that_is_left_out_is_there(stated, tmp_path):
    """Mistyped, the one that was meant would be used."""
    with pytest.raises(ConfigError, match=r'left_out\] sale is a column neither .* did you mean "sales"'):
        stated(left_out={"sale": "known only afterwards"}).prepare(tmp_path / "out")


def test_a_bank_without_rows_is_named(stated, tmp_path):
    banks = [BANKS[0], BANKS[1] | {"only": {"region": "west"}}]
    with pytest.raises(DataError, match=r"(?s)bank south, only: .*none of 40 rows"):
        stated(parties=[*banks, OFFICE]).prepare(tmp_path / "out")


@pytest.mark.parametrize("seed", [1, 2])
def test_exactly_so_many_positives_are_kept_and_the_others_are_nowhere(stated, tmp_path, seed):
    made = stated(thin={"positives": 3}).prepare(tmp_path / "out", seed=seed)
    lender, office = tables(made).values()
    assert (lender.label == 1).sum() == 3 and (lender.label == 0).sum() == 30
    assert set(office.ids) == set(lender.ids)
    expected = load_study(made.study).expected
    assert (expected.enterprises, expected.default_rate) == (33, 0.09091)


def test_rows_are_sampled_before_they_are_thinned(stated, tmp_path):
    made = stated(sample={"enterprises": 30}, thin={"negatives": 12}).prepare(tmp_path / "out")
    label = tables(made)["lender"].label
    assert (label == 0).sum() == 12 and 1 <= (label == 1).sum() <= 10
    assert load_study(made.study).expected.enterprises == round(12 + 30 * 0.25)


def test_a_holder_knows_its_share(stated, tmp_path):
    made = stated(knows={"office": 0.6}).prepare(tmp_path / "out")
    assert len(ids(made)["office"]) == 24 and len(ids(made)["lender"]) == 40
    assert load_study(made.study).expected.known == 0.6


def test_the_same_seed_gives_the_same_digest_and_another_another(stated, tmp_path):
    one = stated(thin={"positives": 3})
    first, again, other = (
        one.prepare(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.digest == again.digest != other.digest
    assert (tmp_path / "a/data/lender.parquet").read_bytes() == (
        tmp_path / "b/data/lender.parquet"
    ).read_bytes()


def test_a_digest_tells_dictionaries_apart(stated, tmp_path):
    one = stated()
    digests = {one.prepare(tmp_path / f"{bins}", bins=bins).digest for bins in (None, 5, 7)}
    assert len(digests) == 3


def test_bins_are_of_columns_without_edges_alone(stated, tmp_path):
    dictionary = load_institution(
        stated().prepare(tmp_path / "out", bins=5).institutions["lender"]
    ).dictionary
    assert dictionary.column("debt").bin_count == 5
    assert dictionary.column("late").bins == (0.5, 2.5) and dictionary.column("late").bin_count is None


def test_the_first_institutions_keep_their_rows(stated, tmp_path):
    one = stated(parties=[{"name": "bank", "role": "bank", "count": 4}, OFFICE])
    few, all_ = one.prepare(tmp_path / "few", institutions=2), one.prepare(tmp_path / "all")
    assert list(few.institutions) == ["bank_1", "bank_2"]
    assert all(ids(few)[n] == ids(all_)[n] for n in few.institutions)
    assert load_study(few.study).expected.enterprises == 20
    again = one.prepare(tmp_path / "all", institutions=1)
    assert [f.stem for f in again.study.parent.glob("institutions/*")] == ["bank_1"]
    (tmp_path / "all" / "study.toml").write_text('name = "another"\n')
    with pytest.raises(ConfigError, match="has another study"):
        one.prepare(tmp_path / "all")


def test_members_say_who_takes_part_and_in_which_order(stated, tmp_path):
    one = stated(members=["office", "lender"])
    assert list(one.prepare(tmp_path / "out").institutions) == ["office", "lender"]
    with pytest.raises(ConfigError, match="no bank is among the first 1 institutions"):
        one.prepare(tmp_path / "out", institutions=1)
    with pytest.raises(ConfigError, match="has 2 institutions, and 3 were asked for"):
        one.prepare(tmp_path / "out", institutions=3)


def test_tables_without_ids_are_matched_by_row(stated, tmp_path):
    rules = stated().rules.dictionary.stated() | {"id": "@row"}
    found = tables(stated(dictionary=rules, parties=[*BANKS, OFFICE]).prepare(tmp_path / "out"))
    assert found["south"].ids[0] == "ROW000000024" and found["south"].frame["debt"][0] == 24
    assert found["office"].frame["sales"][24] == 24 and found["office"].ids[24] == "ROW000000024"


def test_a_file_that_is_like_another(stated, tmp_path):
    stated()
    (tmp_path / "few.toml").write_text('like = "tiny"\nname = "few"\n\n[thin]\npositives = 2\n')
    few = load_data_set(tmp_path / "few.toml")
    assert few.name == "few" and few.rules.title == "forty loans"
    assert tables(few.prepare(tmp_path / "out"))["lender"].label.sum() == 2
    (tmp_path / "round.toml").write_text('like = "round"\nname = "round"\n')
    with pytest.raises(ConfigError, match="leads back to this file"):
        load_data_set(tmp_path / "round.toml")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"thinn": {"positives": 3}}, '[thinn]: is not a known key; did you mean "thin"?'),
        (
            {"study": "x.toml"},
            "rows come from one of study, [table] and [province], and study and table is given",
        ),
        ({"expected": None}, "[expected] default_rate and enterprises are missing"),
        ({"parties": [OFFICE]}, "[[parties]] has no bank"),
        ({"parties": [BANKS[0], BANKS[0], OFFICE]}, "[[parties]] north is listed more than once"),
        ({"parties": [BANKS[0], {"name": "b", "role": "bank"}, OFFICE]}, "only is for all banks or for none"),
        ({"parties": [{"name": "b", "role": "bank"}, OFFICE | {"share": 2}]}, "share is for banks"),
        (
            {"parties": [{"name": "b", "role": "bank"}, OFFICE | {"columns": ["sale"]}]},
            "column sale is not in the",
        ),
        (
            {"parties": [{"name": "b", "role": "bank", "columns": ["debt"]}, OFFICE]},
            "column late is held by nobody",
        ),
        ({"left_out": {"sales": "why"}}, "[left_out] sales is held by a party"),
        ({"split": {"overlap": 0.1}}, "[split] is for several banks without only"),
        ({"split": {"kind": "dirichlet"}}, "needs alpha"),
        ({"split": {"kind": "dirichlet", "alpha": math.inf}}, "[split] alpha: is inf"),
        ({"parties": [{"name": "b", "role": "bank", "share": math.inf}, OFFICE]}, "share: is inf"),
        ({"settings": {"name": "other"}}, "settings sets name"),
        ({"split": {"alpha": 1.0}}, "over and alpha are for kind"),
        ({"split": {"kind": "dirichlet", "alpha": 1.0, "over": "late"}}, "late is no category or flag"),
    ],
)
def test_wrong_files_are_told_in_words(stated, changes, told):
    with pytest.raises(ConfigError) as error:
        stated(**changes)
    assert told in str(error.value)


def test_all_broken_rules_are_told_at_once(stated):
    with pytest.raises(ConfigError, match=r"breaks 3 rule\(s\)"):
        stated(title=None, sample={"enterprises": 0}, thin={"positives": 0})


def test_what_the_rows_cannot_give_is_told(stated, tmp_path):
    with pytest.raises(DataError, match=r"\[thin\] positives = 11 is more than there are"):
        stated(thin={"positives": 11}).prepare(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"\[knows\] ofice is no holder"):
        stated(knows={"ofice": 0.5}).prepare(tmp_path / "out")
    with pytest.raises(DataError, match="office is left without a row"):
        stated(knows={"office": 1e-9}).prepare(tmp_path / "out")
    with pytest.raises(ConfigError, match="members names x, and there are lender, office"):
        stated(members=["x"]).prepare(tmp_path / "out")
    nowhere = [{"name": "east", "role": "bank", "only": {"region": "east"}}, OFFICE]
    with pytest.raises(DataError, match="has no rows"):
        stated(parties=nowhere).prepare(tmp_path / "out")


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean taiwan"):
        load_data_set("taiwann")


@pytest.mark.parametrize("name", data_set_names())
def test_files_of_the_house_are_right(name):
    one = load_data_set(name)
    assert one.name == name and one.rules.licence and one.rules.citation


def test_pooled_rows_stand_bank_by_bank_on_the_split_of_the_study(stated, tmp_path):
    made = stated(parties=[*BANKS, OFFICE], knows={"office": 0.5}).prepare(tmp_path / "out")
    use = np.array(["training", "holdout", "training", "unused"])
    scores = {
        name: pd.DataFrame({"id": t.ids[::-1], "split": np.resize(use, len(t.ids))})
        for name, t in tables(made).items()
        if name != "office"
    }
    split = pooled(made, scores)
    assert list(split.frame) == ["bank.debt", "bank.late", "office.sales", "office.trade"]
    assert split.bank_columns == ["bank.debt", "bank.late"]
    # Counted from the end of each bank, every fourth row is left out and the second of four is held out.
    assert split.frame["bank.debt"].tolist() == [k for k in range(24) if k % 4] + [
        k for k in range(24, 40) if k % 4
    ]
    assert split.training.tolist() == [k % 4 != 2 for k in range(40) if k % 4]
    assert split.label.tolist() == [0.0] * 30
    assert split.bank.tolist() == ["north"] * 18 + ["south"] * 12
    known = split.frame["office.trade"].notna()
    assert (split.frame.loc[known, "office.sales"] == split.frame.loc[known, "bank.debt"]).all()
    assert 0 < known.sum() < 30
    with pytest.raises(DataError, match="scores of south are missing"):
        pooled(made, {"north": scores["north"]})


PROVINCE = """\
name = "p"
title = "t"
licence = "none"
citation = "none"

[province]
enterprises = 1_000
banks = 1
"""


def test_a_province_is_simulated_once_for_a_seed(stated, tmp_path, monkeypatch):
    """The simulation is another data set here, which has two banks and an office."""
    stands_for, made = stated(parties=[*BANKS, OFFICE], sample={"enterprises": 30}), []

    def simulate(rule, seed, out):
        made.append((rule.enterprises, seed))
        stands_for.prepare(out, seed=seed)

    monkeypatch.setattr("fedrisk.lab.simulated._simulate", simulate)
    (tmp_path / "p.toml").write_text(PROVINCE)
    one = load_data_set(tmp_path / "p.toml")
    prepared = [
        one.prepare(tmp_path / folder, seed=seed, cache=tmp_path / "cache")
        for folder, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert made == [(1_000, 1), (1_000, 2)]
    assert prepared[0].digest == prepared[1].digest != prepared[2].digest
    assert list(prepared[0].institutions) == ["north", "office"]
    assert load_study(prepared[0].study).expected.enterprises == 15


@pytest.mark.long
def test_a_province_is_simulated(tmp_path):
    (tmp_path / "p.toml").write_text(PROVINCE)
    made = load_data_set(tmp_path / "p.toml").prepare(tmp_path / "out")
    assert list(made.institutions) == ["city_bank", "tax_office", "power_utility", "social_insurance"]
    assert all(load_institution(f).policy.research for f in made.institutions.values())
    assert all(len(t) > 100 for t in tables(made).values())


@pytest.mark.long
def test_a_simulation_that_refuses_is_told(tmp_path):
    (tmp_path / "p.toml").write_text(PROVINCE.replace("banks = 1", 'profile = "demmo"'))
    with pytest.raises(ConfigError, match=r"ended with status 2: .*demmo.*correct \[province\]"):
        load_data_set(tmp_path / "p.toml").prepare(tmp_path / "out")


@real
def test_prepared_tables_are_those_of_the_files_of_the_house(tmp_path):
    """The digest of a table is that of its rows: what is written is what the institutions had."""
    made = load_data_set("default_credit").prepare(tmp_path)
    configs = load_data_set("default_credit").file.parent.parent / "institutions"
    for name, table in tables(made).items():
        assert table.digest == load_institution(configs / f"{name}.toml").read().digest


@real
@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [("taiwan_few", 6_659, 94), ("sba_pooled", 22_427, 12), ("default_credit_skewed", 30_000, 23)],
)
@pytest.mark.sampled(3)
def test_real_data_sets_are_prepared(tmp_path, name, rows, columns):
    made = load_data_set(name).prepare(tmp_path)
    found = tables(made)
    assert made.rows == rows
    parts = found.values() if name != "default_credit_skewed" else [found["card_1"]]
    assert sum(t.frame.shape[1] for t in parts) == columns


@real
@pytest.mark.long
def test_a_prepared_study_gives_the_figures_of_the_files_of_the_house(tmp_path, monkeypatch):
    made = load_data_set("default_credit").prepare(tmp_path / "prepared")
    file = load_data_set("default_credit").file.parent.parent / "default_credit.toml"
    study = load_study(file)
    aucs = []
    for home, one, files in (
        ("a", study, find_institutions(file, study.members)),
        ("b", load_study(made.study), made.institutions),
    ):
        monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / home))
        aucs.append(run_local(one, files, research_seed=3).to_dict()["auc"])
    assert aucs[0] == aucs[1]
