"""The walk-through in docs/own-data.md, executed as it stands."""

import re
import shlex
from pathlib import Path

import pytest

from fedrisk.institution import load_institution
from support.own_data import write_own_data

PAGE = Path(__file__).parents[3] / "docs" / "own-data.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
MOST_COMMANDS = 10

pytestmark = pytest.mark.slow


def commands():
    """The page's commands, in their order."""
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_page_leads_from_two_tables_to_a_green_check_in_ten_commands(fedrisk, tmp_path):
    # A fifth of the page's rows: the commands are what is tried.
    write_own_data(tmp_path, rows=6_000)
    install, *rest = commands()
    assert install == "pip install fedrisk"
    assert len(rest) + 1 <= MOST_COMMANDS
    for line in rest:
        program, *arguments = shlex.split(line)
        assert program == "fedrisk"
        code, out, err = fedrisk(*arguments)
        assert code == 0, f"{line}\n{out}\n{err}"
    assert "甲银行" in out and "6,000" in out
    assert "would run" in out.splitlines()[-1]
    bank = load_institution(tmp_path / "institutions" / "bank_a.toml").dictionary
    assert bank.column("months_since_default").special == (("-9", "no record"), ("-8", "no usable loan"))
    assert bank.column("branch").categories == ("01", "02", "03")
    assert len(bank.features) == 31


def test_the_check_is_not_green_before_a_person_has_confirmed(fedrisk, tmp_path):
    write_own_data(tmp_path, rows=600)
    lines = [line for line in commands()[1:] if " confirm " not in line and " declare " not in line]
    *before, check = [fedrisk(*shlex.split(line)[1:]) for line in lines]
    assert [code for code, _, _ in before] == [0, 0, 0]
    code, _, err = check
    assert code != 0
    assert "drafted from the table and confirmed by nobody" in err
    assert "fedrisk dictionary confirm" in err
