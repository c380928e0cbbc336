"""Commands as a person gives them, in a folder of the test's own."""

import re

import pytest

from fedrisk import cli
from fedrisk.cli import output


@pytest.fixture
def fedrisk(monkeypatch, capsys, fedrisk_home, tmp_path):
    """Calls the entry point as the installed command does; (exit code, standard output, errors) as plain text."""

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["fedrisk", *map(str, arguments)])
        for console in (output.out, output.err):
            monkeypatch.setattr(console, "_width", 200)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in capsys.readouterr())
        assert "Traceback" not in out + err
        return int(stop.value.code or 0), out, err

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    return call
