import contextlib
import re

import numpy as np
import pandas as pd
import pytest
import sqlglot
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fedrisk.errors import ConfigError
from fedrisk.exports.card_part import CardPart
from fedrisk.exports.sql import to_sql
from sim_institutions.postgresql import Unavailable, running
from support import exported_cards as made


@pytest.fixture(scope="module")
def postgresql():
    import psycopg

    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running())
        except Unavailable as why:
            pytest.skip(str(why))
        url = server.url.replace("+psycopg", "")
        yield stack.enter_context(psycopg.connect(url, autocommit=True))


def in_postgresql(connection, frame, query):
    quoted = ['"' + c.replace('"', '""') + '"' for c in frame.columns]
    kinds = ["double precision" if frame[c].dtype == np.float64 else "text" for c in frame.columns]
    kinds = ["integer" if c == "external_points" else k for c, k in zip(frame.columns, kinds, strict=True)]
    with connection.cursor() as cursor:
        listed = ", ".join(f"{q} {k}" for q, k in zip(quoted, kinds, strict=True))
        cursor.execute(f"DROP TABLE IF EXISTS customers; CREATE TABLE customers ({listed})")
        marks = ", ".join(["%s"] * len(quoted))
        cursor.executemany(
            f"INSERT INTO customers VALUES ({marks})", frame.astype(object).to_numpy().tolist()
        )
        cursor.execute(query)
        names = [c.name for c in cursor.description]
        rows = cursor.fetchall()
    return pd.DataFrame(rows, columns=names).sort_values("id", key=lambda s: s.str[1:].astype(int))


def in_duckdb(frame, query, dialect):
    """Transpiled: what sqlglot understands of a dialect, run by DuckDB."""
    import duckdb

    if dialect == "oracle":
        # Oracle's own words for doubles, which sqlglot does not read.
        query = query.replace("/*+ MATERIALIZE */ ", "").replace("/*+ MATERIALIZE */", "")
        query = re.sub(r'(CAST\("(?:[^"]|"")+" AS BINARY_DOUBLE\)) IS NOT NAN', r"NOT isnan(\1)", query)
        query = re.sub(
            r"(?<![\w.\"'])(-?[\d.]+(?:e[-+]?\d+)?)d(?![\w\"'])", r"CAST('\1' AS BINARY_DOUBLE)", query
        )
    (read,) = sqlglot.transpile(
        query, read=dialect, write="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    with duckdb.connect() as connection:
        connection.register("given", frame)
        kinds = ["DOUBLE" if frame[c].dtype == np.float64 else "VARCHAR" for c in frame.columns]
        kinds = [
            "INTEGER" if c == "external_points" else k for c, k in zip(frame.columns, kinds, strict=True)
        ]
        quoted = ['"' + c.replace('"', '""') + '"' for c in frame.columns]
        cast = ", ".join(f"CAST({q} AS {k}) AS {q}" for q, k in zip(quoted, kinds, strict=True))
        connection.execute(f"CREATE TABLE customers AS SELECT {cast} FROM given")
        found = connection.execute(read).df()
    found.columns = [c.lower() for c in found.columns]
    return found.sort_values("id", key=lambda s: s.str[1:].astype(int))


def drawn(data):
    """A bank's part, its table, and what the card says: score, probability, reasons."""
    card = data.draw(made.cards())
    table = data.draw(made.tables(card))
    part, codes = CardPart.of(card), made.own_codes(card, "bank", table)
    external = None
    expected = card.base_points + card.institution_points("bank", list(codes.T))
    if part.external is not None:
        external = data.draw(st.lists(st.integers(-200, 200), min_size=len(codes), max_size=len(codes)))
        expected = expected + np.array(external)
    frame = made.frame_of(part, table, external)
    return part, frame, expected, card.probability(expected), card.reasons(list(codes.T), external)


def same(found, expected, probability, reasons):
    assert found["score"].tolist() == expected.tolist()
    np.testing.assert_allclose(found["probability"].astype(float), probability, rtol=0, atol=1e-9)
    listed = found[[c for c in found if c.startswith("reason_")]].astype(object).to_numpy().tolist()
    assert [tuple(r for r in row if isinstance(r, str)) for row in listed] == reasons


QUICK = (Phase.explicit, Phase.generate)

FEW = settings(
    max_examples=4, deadline=None, phases=QUICK, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FEW
@given(data=st.data())
def test_postgresql_scores_as_the_card(postgresql, data):
    part, frame, *expected = drawn(data)
    same(in_postgresql(postgresql, frame, to_sql(part, "postgresql", reasons=4)), *expected)


@pytest.mark.parametrize("dialect", ["oracle", "hive"])
@FEW
@given(data=st.data())
def test_other_dialects_score_as_the_card_where_they_are_read_as_written(dialect, data):
    part, frame, *expected = drawn(data)
    if dialect == "oracle" and any('"' in name for name in part.inputs):
        with pytest.raises(ConfigError, match="which this database does not take"):
            to_sql(part, dialect)
        return
    same(in_duckdb(frame, to_sql(part, dialect, reasons=4), dialect), *expected)


@pytest.mark.long
@FEW
@given(data=st.data())
def test_spark_scores_as_the_card_with_the_sql_of_hive(spark, data):
    """Spark's SQL is Hive's, and its own engine reads the query as it is written."""
    part, frame, *expected = drawn(data)
    kinds = ["double" if frame[c].dtype == np.float64 else "string" for c in frame.columns]
    kinds = ["int" if c == "external_points" else k for c, k in zip(frame.columns, kinds, strict=True)]
    named = ", ".join(
        "`" + c.replace("`", "``") + f"` {k}" for c, k in zip(frame.columns, kinds, strict=True)
    )
    rows = [tuple(None if v is None else v for v in row) for row in frame.astype(object).to_numpy().tolist()]
    spark.createDataFrame(rows, schema=named).createOrReplaceTempView("customers")
    found = spark.sql(to_sql(part, "hive", reasons=4))
    table = pd.DataFrame([row.asDict() for row in found.collect()])
    same(table.sort_values("id", key=lambda s: s.str[1:].astype(int)), *expected)


@pytest.fixture(scope="module")
def spark():
    session = pytest.importorskip("pyspark.sql").SparkSession
    builder = session.builder.master("local[1]").config("spark.ui.enabled", "false")
    found = builder.config("spark.sql.shuffle.partitions", "1").getOrCreate()
    found.sparkContext.setLogLevel("ERROR")
    yield found
    found.stop()
