"""The simulated bank's table of decisions is taken, and has words for every column of the bank."""

from fedrisk.institution import load_institution
from fedrisk.serving.decisions import Case, advise, load_decisions
from sim_institutions.files import institution
from sim_institutions.institutions import offices
from sim_institutions.profiles import PROFILES
from sim_institutions.serve import APPLICATION, BANK, give_table


def test_the_table_of_the_simulated_bank(tmp_path):
    bank = next(o for o in offices(PROFILES["demo"]) if o.name == BANK)
    (tmp_path / "institution.toml").write_text(institution(bank, {"source": "x.parquet"}), encoding="utf-8")
    give_table(tmp_path)
    found = load_institution(tmp_path / "institution.toml")
    table = load_decisions(found.decisions_path)
    assert not [c.name for c in found.dictionary.features if c.name not in table.reasons]
    assert "external data" in table.reasons
    assert (
        advise(table, Case(product="working_capital", probability=0.03, **APPLICATION)).decision == "accept"
    )
