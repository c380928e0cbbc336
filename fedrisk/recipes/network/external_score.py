"""The external score of an earlier scorecard study as one more column of a bank, for its network.

The bank has it in its own store: the sum of the data holders' points for each of its customers. A network that
is trained on it computes on the holders' records as well, so they are members of its study and are charged.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError, DataError, FedriskError, PolicyError
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.network.settings import NetworkSettings
from fedrisk.study import Study
from fedrisk.study_members import BANK, HOLDING

COLUMN = "external_score"
FEATURE = Feature(
    institution=BANK,
    column=COLUMN,
    low=-4.0,
    high=4.0,
    bins=(-2.0, -1.5, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0),
    missing=True,
)
"""Log-odds of default that the holders' points add to the average; public bins, the same for every study."""


def with_external(attempt: Attempt, frame: pd.DataFrame, ids: NDArray[np.object_]) -> pd.DataFrame:
    """The bank's columns and, where the study asks for it, the external score of each row; NaN where it has none."""
    if NetworkSettings.of(attempt.study).external is None:
        return frame
    folder = attempt.node.store.path / "results" / attempt.agreement.remembered["external"]
    return frame.assign(**{COLUMN: _log_odds(folder, ids)})


def refuse_same_name(node: Node, features: Sequence[Feature]) -> None:
    """ConfigError where the bank has a column of that name itself: one would silently take the other's place."""
    if any(feature.column == COLUMN for feature in features):
        raise ConfigError(
            f"{node.name}: a column of the dictionary is called {COLUMN}, as is the score of the earlier study "
            "(network.external); name the column otherwise in table and dictionary, or leave it out by policy.columns"
        )


def find_external(node: Node, study: Study, research_seed: int | None) -> str:
    """The attempt whose scores are the input: of study ``network.external``, with exactly these holders, the latest.

    It may be about another label: the score is a column like others, and says of each customer what it says.

    DataError where there is none. PolicyError where it was a research run and this is none, since a score fitted
    without privacy would carry records of others past the noise.
    """
    name = NetworkSettings.of(study).external
    found = []
    for file in (node.store.path / "results").glob("*/scores.parquet"):
        try:
            begun = node.store.attempt(file.parent.name).load(Begun)
        except FedriskError:
            continue
        earlier = begun.study
        holders = {m["name"] for m in earlier["institutions"] if m["role"] in HOLDING}
        if earlier["name"] == name and earlier["recipe"] == "scorecard" and holders == set(study.holders):
            found.append((file.stat().st_mtime, file.parent.name, begun.research_seed is not None))
    if not found:
        raise DataError(
            f"{node.name} has no scores of a study {name} with exactly these holders in its store; run that study "
            "first, or take network.external out"
        )
    _, attempt, research = max(found)
    if research_seed is None and research:
        raise PolicyError(
            f"the latest scores of study {name} at {node.name} come of a research run, which has no privacy; run "
            "that study without a research seed first"
        )
    return attempt


def _log_odds(folder: Path, ids: NDArray[np.object_]) -> NDArray[np.float64]:
    """(n,) log-odds of default that the holders' points add to the average, by id."""
    card = Scorecard.from_json((folder / "scorecard.json").read_text())
    columns = ["id", "external_points"]
    kept = pd.read_parquet(folder / "scores.parquet", columns=columns).set_index("id")["external_points"]
    return card.external_log_odds(kept.reindex(pd.Index(ids)).to_numpy(float))
