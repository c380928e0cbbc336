"""Baselines of a network: a DP logistic regression and the scorecard, on the same rows and at the same epsilon.

A network's figure says little alone. Baselines are studies of their own, with attempts, releases and charges of their
own; hold-out and draw of banks follow from keys that are the same for all studies of one roster, so the rows are the
same.
"""

from collections.abc import Callable
from dataclasses import replace

from fedrisk.errors import FedriskError
from fedrisk.recipes import recipe_of
from fedrisk.server.results import Baseline, Results
from fedrisk.study import Study


def run_baselines(results: Results, study: Study, run: Callable[[Study], Results]) -> Results:
    """Run the baselines of a study's recipe by ``run``; the results with their figures.

    One that fails (a budget that does not hold another study, a policy) leaves its reason there instead.
    """
    found: list[Baseline] = []
    for heading, other in recipe_of(study).baselines(study).items():
        try:
            r = run(other)
        except FedriskError as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            found.append(Baseline(model=heading, failed=reason))
            continue
        found.append(
            Baseline(
                model=heading,
                auc=r.auc,
                ks=r.ks,
                brier=r.brier,
                auc_standard_error=r.auc_standard_error,
                exchanges=r.exchanges,
                seconds=r.seconds,
                same_rows=r.rows.training == results.rows.training,
            )
        )
    return replace(results, baselines=tuple(found))
