"""The external score of an earlier scorecard study as one more column of a bank, for its network.

The bank has it in its own store: the sum of the data holders' points for each of its customers. A network that
is trained on it computes on the holders' records as well, so they are members of its study and are charged.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients.node import Attempt, Node
from fedrisk.errors import DataError, FedriskError, PolicyError
from fedrisk.models.binning import Feature
from fedrisk.models.scorecard import FACTOR, Scorecard
from fedrisk.study import BANK, Study

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
    if attempt.study.network.external is None:
        return frame
    return frame.assign(**{COLUMN: external_score(attempt.node, attempt.study, ids, attempt.research_seed)})


def external_score(
    node: Node, study: Study, ids: NDArray[np.object_], research_seed: int | None
) -> NDArray[np.float64]:
    """(n,) log-odds by id, from the latest results of study ``network.external`` in the bank's own store.

    DataError where there are none; PolicyError where they come of a research run and this is none: a score fitted
    without privacy would carry records of others past the noise.
    """
    name = study.network.external
    found = []
    for file in (node.store.path / "results").glob("*/scores.parquet"):
        try:
            facts = node.store.attempt(file.parent.name).facts
        except FedriskError:
            continue
        earlier = facts["study"]
        holders = {m["name"] for m in earlier["institutions"] if m["role"] == "holder"}
        if earlier["name"] == name and earlier["recipe"] == "scorecard" and holders == set(study.holders):
            found.append((file.stat().st_mtime, file, facts["research_seed"] is not None))
    if not found:
        raise DataError(
            f"{node.name} has no scores of a study {name} with exactly these holders in its store; run that study "
            "first, or take network.external out"
        )
    _, file, research = max(found)
    if research and research_seed is None:
        raise PolicyError(
            f"the latest scores of study {name} at {node.name} come of a research run, which has no privacy; run "
            "that study without a research seed first"
        )
    card = Scorecard.from_json((file.parent / "scorecard.json").read_text())
    average = sum(a for a, b in zip(card.averages, card.bins, strict=True) if b.feature.institution != BANK)
    kept = pd.read_parquet(file, columns=["id", "external_points"]).set_index("id")["external_points"]
    points = kept.reindex(pd.Index(ids)).to_numpy(float)
    return (average - points) / FACTOR
