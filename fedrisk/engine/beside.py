"""Beside a network: a DP logistic regression and the scorecard, on the same rows and at the same epsilon.

A network's figure says little alone. The companions are studies of their own, with attempts, releases and charges
of their own; hold-out and draw of banks follow from keys that are the same for all studies of one roster, so the
rows are the same.
"""

from collections.abc import Callable
from typing import Any

from fedrisk.errors import FedriskError
from fedrisk.server.results import Results
from fedrisk.study import Network, Study, Training


def companions(study: Study) -> dict[str, Study]:
    """Studies to run beside one of recipe neural, by heading; none for other recipes, or with an external score."""
    if study.recipe != "neural" or study.network.external is not None:
        return {}
    found = {}
    if study.network.kind != "logistic":
        logistic = {"name": f"{study.name[:38]}_logistic", "network": Network(kind="logistic")}
        found["DP logistic regression"] = study.model_copy(update=logistic)
    plain = {"name": f"{study.name[:37]}_scorecard", "recipe": "scorecard", "network": Network()}
    found["scorecard"] = study.model_copy(update={**plain, "training": Training()})
    return found


def run_beside(results: Results, study: Study, run: Callable[[Study], Results]) -> None:
    """Run the companions by ``run`` and add their figures to the results.

    One that fails (a budget that does not hold another study, a policy) leaves its reason there instead.
    """
    told: list[dict[str, Any]] = []
    for heading, other in companions(study).items():
        try:
            m = run(other).metrics
        except FedriskError as error:
            told.append({"model": heading, "failed": f"{type(error).__name__}: {error}".splitlines()[0]})
            continue
        same = m["rows"]["training"] == results.metrics["rows"]["training"]
        figures = {k: m[k] for k in ("auc", "ks", "brier", "auc_standard_error", "exchanges", "seconds")}
        told.append({"model": heading, **figures, "same_rows": same})
    results.metrics["beside"] = told
