"""Records and results of statistics studies without a study: exact sums of made-up rows with the noise of a study."""

import functools
import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from fedrisk.privacy.accounting import LABEL_IN_VECTORS, epsilon_by_relation, mu_for
from fedrisk.secure.identity import IdentityKey
from fedrisk.server.results import InstitutionFacts, Results, Rows
from fedrisk.study import NO_PRIVACY


@functools.cache
def coverage_experiment() -> ModuleType:
    """The module benchmarks/statistics/coverage.py, under a name that no package has."""
    file = Path(__file__).parents[2] / "benchmarks" / "statistics" / "coverage.py"
    spec = importlib.util.spec_from_file_location("statistics_coverage", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_record(mu=1.0, *, included=1.0, seed=1, changed=lambda layout: layout):
    """A record of county by sector, county and all, with measures of every kind; ``changed``: another layout."""
    experiment = coverage_experiment()
    layout = experiment.layout_of(included)
    rows = experiment.Rows(layout, np.random.default_rng(4))
    return experiment.record_of(changed(layout), rows.sums(layout), np.random.default_rng(seed), mu)


def results_of(record, *, research=False, **figures):
    """Results whose figures come from a record."""
    mu = mu_for(1.0, 1e-6)
    spend = {
        "institution": "tax",
        "release": "statistics",
        "population": "all",
        "mu": mu,
        "research": research,
    }
    notice = NO_PRIVACY if research else None
    return Results(
        **{
            "study": "regional",
            "recipe": "statistics",
            "digest": "0" * 64,
            "attempt": record.attempt,
            "engine": "in-process",
            "research": research,
            "notice": notice,
            "research_seed": 1 if research else None,
            "seconds": 1.5,
            "exchanges": 2,
            "rows": Rows(training={}, holdout={}),
            "epsilon": None if research else 1.0,
            "nominal_epsilon": 1.0,
            "delta": 1e-6,
            "mu": None if research else mu,
            "epsilon_by_relation": None
            if research
            else epsilon_by_relation(mu, 1e-6, label=LABEL_IN_VECTORS),
            "spends": (spend,),
            "second_release": None,
            "default_rate": None,
            "expectation": None,
            "training": None,
            "auc": None,
            "ks": None,
            "gini": None,
            "brier": None,
            "auc_standard_error": None,
            "calibration": None,
            "by_bank": None,
            "bank_alone_auc": None,
            "bank_champion_auc": None,
            "bank_personal_auc": None,
            "bytes_sent": {"tax": 12000},
            "bytes_received": {"tax": 1000},
            "peak_mb": 200.0,
            "institutions": {"tax": InstitutionFacts(role="holder", rows=8000)},
            "evaluated": False,
            "record": replace(record, research=research, notice=notice).signed(IdentityKey.generate()),
            **figures,
        }
    )
