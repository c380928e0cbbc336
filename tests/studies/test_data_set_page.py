"""The example of docs/data-sets.md, as it stands there: a table of one's own, split by a TOML file alone, and its study."""

import re
import shlex
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "data-sets.md").read_text(encoding="utf-8")


@pytest.mark.study
def test_the_example_of_the_page(fedrisk, tmp_path):
    own = PAGE.split("## A table of your own", 1)[1].split("\n## ", 1)[0]
    (python,), (toml,), (commands,) = (
        re.findall(rf"```{kind}\n(.*?)```", own, re.DOTALL) for kind in ("python", "toml", "sh")
    )
    exec(python, {})
    (tmp_path / "my_loans.toml").write_text(toml, encoding="utf-8")
    show, prepare, run = (shlex.split(line)[1:] for line in commands.strip().splitlines())
    code, out, _ = fedrisk(*show)
    assert code == 0 and "lender = North" in out and "known only after the outcome" in out
    assert "my_office knows 90% of the enterprises" in out
    assert fedrisk(*prepare)[0] == 0
    code, out, err = fedrisk(*run)
    assert code == 0, err
    assert (tmp_path / "work" / "results" / "metrics.json").is_file()
    drafted = PAGE.split("## With a drafted dictionary", 1)[1].split("\n## ", 1)[0]
    (commands,) = re.findall(r"```sh\n(.*?)```", drafted, re.DOTALL)
    for line in commands.strip().splitlines():
        code, _, err = fedrisk(*shlex.split(line, comments=True)[1:])
        assert code == 0, err
    (reference,) = re.findall(r'`(dictionary = "loans_.*?)`', drafted)
    other = re.sub(r"(?s)\[dictionary\].*", "", toml).replace("\n[table]", f"\n{reference}\n\n[table]", 1)
    (tmp_path / "drafted.toml").write_text(other, encoding="utf-8")
    assert fedrisk("data-set", "show", "drafted.toml")[0] == 0
