"""Passwords of databases stand in a file of their owner, and in no error."""

import pytest
from sqlalchemy.engine import make_url

from fedrisk.data.place import database_url
from fedrisk.data.source import TableSource
from fedrisk.errors import ConfigError, DataError

URL = "postgresql+psycopg://reader@db.example:5432/loans"
AWKWARD = "p@ss:/w?rd#%41 '\"¥"


def written(folder, content, mode=0o600):
    file = folder / "database.password"
    file.write_bytes(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nsecond line\n"])
def test_the_first_line_is_the_password_whatever_is_in_it(tmp_path, end):
    written(tmp_path, (AWKWARD + end).encode())
    url = database_url(URL, tmp_path, "database.password")
    assert url.password == AWKWARD
    assert make_url(url.render_as_string(hide_password=False)) == make_url(URL).set(password=AWKWARD)
    assert AWKWARD not in repr(url) and AWKWARD not in str(url)


def test_the_file_may_be_named_by_a_variable(tmp_path, monkeypatch):
    written(tmp_path, b"x")
    monkeypatch.setenv("SECRETS", str(tmp_path))
    assert database_url(URL, tmp_path / "elsewhere", "${SECRETS}/database.password").password == "x"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    file = written(tmp_path, b"s3cret", mode)
    with pytest.raises(ConfigError, match="chmod 600") as refused:
        database_url(URL, tmp_path, str(file))
    assert "s3cret" not in str(refused.value)


def test_what_a_service_manager_hands_over_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    file = written(tmp_path, b"s3cret", 0o440)
    assert database_url(URL, tmp_path, str(file)).password == "s3cret"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00"])
def test_a_file_without_a_password_is_named(tmp_path, content):
    file = written(tmp_path, content)
    with pytest.raises(ConfigError, match="database.password"):
        database_url(URL, tmp_path, str(file))


def test_a_missing_file_and_a_url_that_is_none_are_named(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        database_url(URL, tmp_path, "database.password")
    written(tmp_path, b"s3cret")
    with pytest.raises(DataError, match="malformed") as refused:
        database_url("postgresql://u@h:port/x", tmp_path, "database.password")
    assert "s3cret" not in str(refused.value)


def test_a_password_file_is_for_databases_alone():
    with pytest.raises(ValueError, match="password_file is for database URLs only"):
        TableSource(source="loans.csv", password_file="x")
    assert TableSource(source=URL, query="SELECT 1", password_file="x").password_file == "x"
