"""The command line of the simulation (``sim_institutions/__main__.py``)."""

import pytest

from fedrisk.institution import load_institution
from sim_institutions.__main__ import main


def test_progress_is_shown_on_standard_error(tmp_path, capsys):
    main(["--enterprises", "1000", "--out", str(tmp_path)])
    shown = capsys.readouterr()
    assert "1,000 of 1,000 enterprises" in shown.err
    assert "tax_office" in shown.out


def test_too_few_enterprises_are_refused(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["--profile", "consortium", "--enterprises", "1000", "--out", str(tmp_path)])
    assert "give 20000 or more" in capsys.readouterr().err


def test_a_negative_seed_is_refused(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["--seed", "-1", "--out", str(tmp_path)])
    assert "give 0 or more" in capsys.readouterr().err


def test_research_runs_are_allowed_only_where_they_are_asked_for(tmp_path):
    for name, more in (("plain", []), ("research", ["--research"])):
        main(["--enterprises", "1000", "--out", str(tmp_path / name), *more])
        for file in (tmp_path / name).glob("*/*.toml"):
            assert load_institution(file).policy.research == (name == "research")
