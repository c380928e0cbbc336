"""What is true of every simulation on the disk, whatever its profile."""

import pyarrow.parquet as pq

from fedrisk.data.dictionary import load_dictionary
from fedrisk.institution import load_institution
from fedrisk.study_file import load_study
from sim_institutions.institutions import prefecture_offices
from sim_institutions.random_streams import MONTHS


def check_tables(out, study=None, noted=("uscc",)):
    """Every institution's table agrees with its file, and the banks' dictionaries with one another."""
    study = load_study(study or out / "study.toml")
    rows = []
    for name in study.members:
        institution = load_institution(out / "institutions" / f"{name}.toml")
        assert institution.name == name
        assert institution.kind == study.role_of(name)
        # As for real data: people start from these files.
        assert not institution.policy.research
        assert institution.policy.scores == "bands"
        # Raises on any error.
        table = institution.read()
        # Nothing but mistyped ids, which are a warning, and what else is noted.
        assert all(c.column in noted or c.severity == "note" for c in table.checks), name
        rows.append(len(table))
        assert table.frame.isna().mean().max() < 0.2, name
    assert study.privacy.delta <= 0.1 / max(rows)
    dictionaries = [load_dictionary(out / "institutions" / f"{b}.toml") for b in study.banks]
    assert all(d.public()["columns"] == dictionaries[0].public()["columns"] for d in dictionaries[1:])


def check_prefectures(out):
    """The offices' tables are the provincial one in parts."""
    whole = load_institution(out / "institutions" / "tax_office.toml").read()
    parts = [load_institution(out / "tax_offices" / f"{n}.toml").read() for n in prefecture_offices()]
    assert sum(map(len, parts)) == len(whole)
    assert set().union(*(p.ids for p in parts)) == set(whole.ids)


def check_histories(out, bank):
    """Histories have the table's rows and eighteen months; ``bank``: one with a bank's series."""
    kept = {}
    for path in sorted((out / "histories").glob("*.parquet")):
        history = pq.read_table(path)
        table = pq.read_table(out / "data" / path.name)
        assert history["uscc"].equals(table["uscc"]), path.name
        series = {c[:-4] for c in history.column_names if c != "uscc"}
        months = {f"{s}_m{t + 1:02d}" for s in series for t in range(MONTHS)}
        assert months == set(history.column_names) - {"uscc"}
        assert all(str(f.type) == "float" for f in history.schema if f.name != "uscc")
        kept[path.stem] = series
    assert kept["tax_office"] == {"invoices", "invoice_amount"}
    assert kept["power_utility"] == {"load"}
    assert kept["social_insurance"] == {"headcount"}
    assert kept[bank] == {"turnover", "overdraft_days"}
    return kept
