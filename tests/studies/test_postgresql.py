"""An institution whose table is a query to a PostgreSQL server, against the same table in a file."""

import os

import pandas as pd
import pytest
import sqlalchemy

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.source import TableSource
from fedrisk.data.table import read_table
from fedrisk.errors import DataError
from sim_institutions.postgresql import Unavailable, running

pytestmark = pytest.mark.study


@pytest.fixture(scope="module")
def server():
    """SQLAlchemy URL of an empty database on a server of the test's own on loopback."""
    try:
        with running() as found:
            patch = pytest.MonkeyPatch()
            patch.setenv("DB_PASSWORD", found.password)
            yield found.url
            patch.undo()
    except Unavailable as why:
        pytest.skip(str(why))


def into_database(consortium, name, url, query):
    """Move an institution's table into the database; its file names a URL, the password in a variable or a file."""
    table = consortium.tables.pop(name)
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        table.astype(object).where(table.notna(), None).infer_objects().to_sql(
            f"table_{name}", connection, index=False, if_exists="replace"
        )
    engine.dispose()
    (consortium.folder / f"{name}.parquet").unlink()
    address = sqlalchemy.make_url(url)._replace(password=None).render_as_string()
    if name == "alfa":
        said = {"source": address.replace("@", ":${DB_PASSWORD}@")}
    else:
        file = consortium.folder / f"{name}.password"
        file.touch(mode=0o600)
        file.write_text(f"{os.environ['DB_PASSWORD']}\n")
        said = {"source": address, "password_file": file.name}
    consortium.content[name]["table"] = {**said, "query": query}
    consortium.write(name)


@pytest.fixture
def consortium(kit, tmp_path):
    return kit.build(tmp_path, ("alfa",), ("tax",), enterprises=1500, study={"privacy": {"epsilon": 2.0}})


def test_the_same_scorecard_from_a_database_as_from_a_file(server, consortium):
    from_file = consortium.run(research_seed=3)
    into_database(consortium, "tax", server, "SELECT id, sales, growth, audited FROM table_tax ORDER BY id")
    into_database(consortium, "alfa", server, "SELECT * FROM table_alfa ORDER BY random()")
    from_database = consortium.run(research_seed=3)
    assert from_database.results.card.to_json() == from_file.results.card.to_json()
    for key in ("auc", "rows", "bank_alone_auc", "bank_champion_auc"):
        assert from_database.results.to_dict()[key] == from_file.results.to_dict()[key], key
    a, b = (r.scores("alfa").sort_values("id", ignore_index=True) for r in (from_file, from_database))
    pd.testing.assert_frame_equal(a, b)


def test_a_wrong_password_in_its_file_is_said_to_be_one(server, consortium):
    into_database(consortium, "tax", server, "SELECT * FROM table_tax")
    assert len(consortium.nodes["tax"].institution.read().frame) > 1000
    (consortium.folder / "tax.password").write_text("no\n")
    with pytest.raises(DataError, match="does not take this user or password"):
        consortium.nodes["tax"].institution.read()


def test_a_row_that_changes_in_the_database_stops_the_study(server, consortium):
    into_database(consortium, "tax", server, "SELECT * FROM table_tax ORDER BY id")

    def edit(number, action, what):
        if action == "mask":
            engine = sqlalchemy.create_engine(server)
            with engine.begin() as connection:
                connection.execute(sqlalchemy.text("UPDATE table_tax SET growth = growth / 2"))
            engine.dispose()

    with pytest.raises(Exception, match=r"tax \(data\)"):
        consortium.run(report=edit)
    (entry,) = consortium.nodes["tax"].store.errors.of(consortium.last.attempt)
    assert "changed between two exchanges" in entry["text"]


def test_a_database_that_cannot_be_read_says_so_without_the_password(server, consortium):
    into_database(consortium, "tax", server, "SELECT * FROM no_such_table")
    with pytest.raises(Exception, match=r"tax \(data\)"):
        consortium.run()
    (entry,) = consortium.nodes["tax"].store.errors.of(consortium.last.attempt)
    assert "table from the database: cannot be read" in entry["text"] and "the query" in entry["text"]
    assert sqlalchemy.make_url(server).password not in entry["text"] and "127.0.0.1" not in entry["text"]


TYPES = """
CREATE TABLE typed (
    id numeric(20, 0), income numeric(12, 2), rate real, code text, own boolean, day timestamptz, short date, bad bool,
    tag uuid, raw bytea
)
"""
ROWS = """
INSERT INTO typed VALUES
    (103100000026000123, 10.50, 0.1, 'NA', true, '2024-09-01T00:00:00+08:00', '2024-09-01', true,
     '00000000-0000-0000-0000-000000000001', 'a'),
    (103100000026000124, -9, NULL, '0101', false, '2024-09-01T23:30:00+08:00', '2024-08-31', false,
     '00000000-0000-0000-0000-000000000002', 'b'),
    (103100000026000125, NULL, 'NaN', '1E3', NULL, NULL, NULL, NULL, NULL, NULL)
"""
CSV = """id,income,rate,code,own,day,short,bad,tag,raw
103100000026000123,10.50,0.1,NA,t,2024-09-01T00:00:00+08:00,2024-09-01,1,00000000-0000-0000-0000-000000000001,a
103100000026000124,-9.00,,0101,f,2024-09-01T23:30:00+08:00,2024-08-31,0,00000000-0000-0000-0000-000000000002,b
103100000026000125,,NaN,1E3,,,,,,
"""


def test_typed_columns_are_the_values_of_a_text_file(server, tmp_path):
    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS typed"))
        connection.execute(sqlalchemy.text(TYPES))
        connection.execute(sqlalchemy.text(ROWS))
    engine.dispose()
    (tmp_path / "t.csv").write_text(CSV)
    columns = [
        {"name": "income", "kind": "number", "meaning": "m", "low": 0, "high": 99, "missing_values": [-9]},
        {"name": "rate", "kind": "number", "meaning": "m", "low": 0, "high": 0.1},
        {
            "name": "code",
            "kind": "category",
            "meaning": "m",
            "categories": ["NA", "0101", "1E3", "1000", "101"],
        },
        {"name": "own", "kind": "flag", "meaning": "m"},
        {"name": "day", "kind": "date", "meaning": "m", "feature": False},
        {"name": "short", "kind": "date", "meaning": "m", "feature": False},
        {"name": "tag", "kind": "category", "meaning": "m", "feature": False},
        {"name": "raw", "kind": "category", "meaning": "m", "categories": ["a", "b"]},
    ]
    label = {"column": "bad", "positive": [1], "negative": [0], "horizon": "h"}
    d = load_dictionary({"id": "id", "id_scheme": "opaque", "columns": columns, "label": label})
    # The driver gives moments in the zone of the session; a date in the query's own zone is the day that was written.
    query = "SELECT *, (day AT TIME ZONE 'Asia/Shanghai') AS day FROM typed".replace(
        "*, ", "id, income, rate, code, own, short, bad, tag, raw, "
    )
    files = read_table(TableSource(source="t.csv"), d, base=tmp_path)
    rows = read_table(TableSource(source=server, query=query), d, base=tmp_path)
    assert rows.digest == files.digest
    only = {"id": "103100000026000124"}
    assert (
        len(
            read_table(
                TableSource(source=server, query=query, only=only),
                d.model_copy(update={"label": None}),
                base=tmp_path,
            )
        )
        == 1
    )


def test_a_column_without_text_is_named(server, tmp_path):
    d = load_dictionary(
        {"id": "id", "id_scheme": "opaque", "columns": [{"name": "x", "kind": "flag", "meaning": "m"}]}
    )
    for value in ("ARRAY[1, 2]", "'{}'::jsonb", "interval '1 day'", "'\\xff'::bytea"):
        query = f"SELECT 'a' AS id, {value} AS x"
        source = TableSource(source=server, query=query.replace(":", "\\:") if "json" in value else query)
        with pytest.raises(DataError, match='column "x" holds (values of type|bytes)'):
            read_table(source, d, base=tmp_path)
