"""One tiny consortium that serves, built once for all tests of this folder."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from support.served import BANK, PURPOSE, Served, served


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory, tiny_writer: Callable[..., Any]) -> Iterator[Served]:
    """Relay, two holders and the bank's service are running; enterprises have consented for a month."""
    folder = tmp_path_factory.mktemp("serving")
    with contextlib.ExitStack() as stack:
        tables = tiny_writer(folder / "tables", research=False).folder
        with pytest.MonkeyPatch.context() as patch:
            # For as long as the study runs: stores have places of their own, and other tests a home of theirs.
            patch.setenv("FEDRISK_HOME", str(folder / "home"))
            made = stack.enter_context(served(folder / "c", tables))
        until = (datetime.now(UTC) + timedelta(days=30)).date()
        made.register.give(scores_of(made)["id"].tolist(), BANK, PURPOSE, until)
        made.serve()
        yield made


def scores_of(made: Served) -> pd.DataFrame:
    """The scores that the study left at the bank."""
    return pd.read_parquet(made.node(BANK).store.results(made.attempt) / "scores.parquet")


@pytest.fixture(scope="session")
def scores(serving: Served) -> pd.DataFrame:
    """The scores that the study left at the bank, by id."""
    return scores_of(serving).set_index("id")
