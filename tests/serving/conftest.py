"""One tiny consortium that serves, for all tests of this folder's modules: built once a module."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from support.served import BANK, PURPOSE, Served, served


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, tiny_writer: Callable[..., Any]) -> Iterator[Served]:
    """Relay, two holders and the bank's service are running; enterprises have consented for a month."""
    folder = tmp_path_factory.mktemp("serving")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDRISK_HOME", str(folder / "home"))
        tables = tiny_writer(folder / "tables", research=False).folder
        with served(folder / "c", tables) as made:
            ids = scores_of(made)["id"].tolist()
            until = (datetime.now(UTC) + timedelta(days=30)).date()
            made.register.give(ids, BANK, PURPOSE, until)
            made.serve()
            yield made


def scores_of(made: Served) -> pd.DataFrame:
    """The scores that the study left at the bank."""
    return pd.read_parquet(made.node(BANK).store.results(made.attempt) / "scores.parquet")


@pytest.fixture(scope="module")
def scores(serving: Served) -> pd.DataFrame:
    """The scores that the study left at the bank, by id."""
    return scores_of(serving).set_index("id")
