"""The record of a study for a registry of deployments of differential privacy.

Dwork, Kohli & Mulligan (2019, "Differential privacy in practice: expose your epsilons!") asked for a public registry of
deployments with their parameters and the reasons for them. Fields and values are those of the Differential Privacy
Deployments Registry; ``schemas/dp_deployment.schema.json`` beside this file has them. The registry takes YAML, of which
JSON is a part.

The record is a draft: a person completes it (curator, region, reasons) before it is handed in. It names no institution
unless the curator is said to be one, no table and no column: it holds what the study says, prices, and how fedrisk
works.
"""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fedrisk.analysis.guarantee import Guarantee, guarantee
from fedrisk.errors import ConfigError
from fedrisk.files import write_atomic
from fedrisk.privacy.accounting import LABEL_IN_COUNTS, LABEL_IN_VECTORS
from fedrisk.server.results import Results

FILE = "deployment.json"

UNSAID = "not stated"

PRODUCTS = {
    "scorecard": "Machine learning model",
    "network": "Machine learning model",
    "encoder": "Machine learning model",
    "statistics": "Summary statistics",
}

WHAT = {
    "scorecard": "A credit scorecard: integer points for bins of columns of several institutions, with a probability "
    "of default for each score.",
    "network": "A neural network that gives the probability of default of an enterprise.",
    "encoder": "An encoder that turns monthly histories of enterprises into columns for other models.",
    "statistics": "Counts, sums, means and quantiles of enterprises by public categories.",
}


def write_deployment(
    results: Results, folder: Path, *, curator: str | None = None, region: str | None = None
) -> Path:
    """Write deployment.json into a folder. Errors as of `deployment_record`, StoreError where it cannot be written."""
    content = deployment_record(results, curator=curator, region=region)
    file = folder / FILE
    write_atomic(file, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(), private=False)
    return file


def deployment_record(
    results: Results, *, curator: str | None = None, region: str | None = None, date: str | None = None
) -> dict[str, Any]:
    """The record as plain values, by the schema.

    curator: who answers for the deployment; nobody is named without it. date: of the publication, today's by default
    (YYYY-MM-DD). ConfigError for a research run, which has no privacy, and for results without their record.
    """
    if results.research or results.mu is None or results.epsilon is None:
        raise ConfigError(
            f"study {results.study} was a research run: it has no privacy, and there is nothing to register"
        )
    if results.record is None:
        raise ConfigError(
            f"the results of {results.study} are without their release record; put it back beside them"
        )
    study = results.record.study
    found = guarantee(
        results.mu, results.delta, institutions=1 + _holders(results), label=label_price(results)
    )
    return {
        "url_slug": f"{results.study.replace('_', '-')}-{results.attempt[:8]}",
        "deployment": {
            "basic": _basic(
                results, study["purpose"], curator, region, date or f"{datetime.now(UTC):%Y-%m-%d}"
            ),
            "dp_variant": _variant(results, study),
            "privacy_loss": _loss(results, found),
            "deployment_model": _model(results, study),
            "implementation": _implementation(results),
            "administrative": {
                "status": "Draft",
                "registry_authors": [curator or "the operator of the consortium's hub"],
                "tier": 3,
            },
        },
    }


def _basic(
    results: Results, purpose: str, curator: str | None, region: str | None, date: str
) -> dict[str, Any]:
    return {
        "name": f"{results.study} ({results.recipe})",
        "data_curators": [
            {
                "data_curator_name": curator or f"Consortium of {_parties(results)}",
                "data_curator_type": "Industry",
            }
        ],
        "description": f"{WHAT.get(results.recipe, 'A study.')} Made by {_parties(results)} together, none of which "
        "gave its records to another or to the coordinating hub.",
        "intended_use": f"{purpose.replace('_', ' ')}; the institutions of the study alone use it.",
        "data_product_type": PRODUCTS.get(results.recipe, "Summary statistics"),
        "data_product_region": region or UNSAID,
        "data_product_sector": "Finance",
        "publication_date": date,
    }


def _parties(results: Results) -> str:
    """How many of which role, without a name: "3 banks and 2 data holders"."""
    words = {
        "bank": ("bank", "banks"),
        "holder": ("data holder", "data holders"),
        "guarantor": ("guarantor", "guarantors"),
        "bureau": ("credit bureau", "credit bureaus"),
        "authority": ("key authority", "key authorities"),
        "regulator": ("regulator", "regulators"),
    }
    roles = [facts.role for facts in results.institutions.values()]
    parts = [f"{roles.count(r)} {words[r][roles.count(r) > 1]}" for r in words if r in roles]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or "institutions"


def _holders(results: Results) -> int:
    """Institutions besides a bank that may have a record of an enterprise."""
    return sum(f.role != "bank" and f.rows > 0 for f in results.institutions.values())


def _variant(results: Results, study: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "variant_name": "Approximate DP",
        "data_domain": "Tables of the institutions with one row for each enterprise; values are clipped to public "
        "bounds or public categories, labels lie between 0 and 1.",
        "unprotected_quantities": " ".join(_unprotected(results, study)),
    }


def _unprotected(results: Results, study: Mapping[str, Any]) -> Iterator[str]:
    """What is exact, by whom it is seen: what docs/threat-model.md says under "Membership"."""
    yield (
        "Numbers of usable rows and of rows with a label of each institution, to the members; which pseudonyms are at "
        "which institution, to the hub, which lacks the key of them."
    )
    if _holders(results) and any(facts.role == "bank" for facts in results.institutions.values()):
        yield "Which of its own enterprises are on a bank's list, to each data holder."
    if (study.get("holdout") or {}).get("kind") == "out_of_time":
        yield (
            "Of each enterprise of a bank, whether its date is before the date from which enterprises are held out, to "
            "the hub and every data holder."
        )
    yield "Nothing else of records leaves without noise."
    if results.evaluated:
        yield "Scores of its own customers are given to each bank as an authorised output, without noise."


def label_price(results: Results) -> float:
    """What a flipped label costs, in prices of a record made zero: less than twice is proved of scorecards alone."""
    return LABEL_IN_VECTORS if results.card is None else LABEL_IN_COUNTS


def _loss(results: Results, found: Guarantee) -> dict[str, Any]:
    repeated = "; ".join(f"{r.studies} such studies: epsilon {r.epsilon:.2f}" for r in found.repeated)
    return {
        "privacy_unit": "All records of one enterprise at one institution",
        "privacy_unit_details": "Two data sets are adjacent where one institution's contribution about one enterprise "
        "is replaced by zeros, so that it adds nothing to any sum; what was chosen by public numbers stays the same. "
        f"The same price reads as epsilon {found.label_flipped:.3g} where a label is flipped, epsilon "
        f"{found.replaced:.3g} where one record takes the place of another, and epsilon {found.everywhere:.3g} where "
        f"the enterprise's records at all institutions that may know it ({found.institutions} at most) are zeroed at "
        f"once; all at delta {found.delta:g}.",
        **_units(results),
        "privacy_parameters": {"epsilon": _up(found.zeroed), "delta": found.delta, "rho": found.mu**2 / 2},
        "privacy_parameters_details": f"Gaussian differential privacy (Dong, Roth & Su 2022) of mu = {found.mu:.6g} "
        f"is accounted; epsilon is its exact reading at this delta, and rho = mu^2 / 2 follows from it. Whoever "
        f"guesses at even odds whether an enterprise's records were there is right in {100 * found.right:.1f} of 100 "
        f"cases at most. Over time mu adds up in squares: {repeated}. Each institution's ledger refuses what is above "
        "its own cap.",
    }


def _units(results: Results) -> dict[str, int]:
    """About how many enterprises, where rows are known."""
    rows = sum(results.rows.training.values()) + sum(results.rows.holdout.values())
    return {"number_of_privacy_units": rounded(rows)} if rows else {}


def _model(results: Results, study: Mapping[str, Any]) -> dict[str, Any]:
    colluders = study["privacy"]["colluders"]
    return {
        "model_name": "Federated",
        "model_name_details": "Distributed: each institution adds its part of the noise on its own machine and masks "
        "the result; the masks cancel in the sum over institutions (secure aggregation, secure products of two "
        "parties), so that the hub sees noisy totals alone.",
        "trust_assumptions": "Institutions and hub follow the protocol and look at whatever they get; the hub does not "
        f"collude with an institution. The noise of a sum of several institutions suffices against {colluders} of them "
        "that share what they know. What the hub tells to all members they confirm to each other, and what follows "
        "from released numbers they compute again.",
        "actors": f"{_parties(results)}: each sees its own records, what was released, and masked numbers of others. "
        "The hub: pseudonyms of enterprises without the key, noisy totals, and the model. Whoever gets the model sees "
        "what follows from noisy totals.",
        "release_type": "One release",
        "release_type_details": "Later studies of the same consortium may use the same rows; each institution's ledger "
        "adds up the prices of all and refuses what is above its cap in a period.",
        "data_source_type": "Static",
        "access_type": "Non-interactive",
    }


def _implementation(results: Results) -> dict[str, Any]:
    return {
        "preprocessing_and_hyperparameter_tuning": "Columns, bounds, categories and sizes of noise follow from public "
        "dictionaries and from the study before any table is read; bins that are not public come from a noisy "
        "histogram, which is charged. No choice is made by looking at records outside the accounting.",
        "mechanisms": "Discrete Gaussian noise (Canonne, Kamath & Steinke 2020), sampled exactly from the system's "
        "random source in whole numbers, added in a ring of integers: no floating point is released. "
        f"fedrisk {version('fedrisk')}, Python with Flower as transport. Releases: {_releases(results)}.",
        "composition": "Prices of releases on the same rows add up as mu squared (Gaussian differential privacy); "
        "training rows and hold-out are disjoint enterprises. No amplification by sampling is claimed. A charge for "
        "the noise being discrete is in the price.",
        "post_processing": "Everything else, the model and all its figures included, is computed from the released "
        "totals; anybody who holds the signed release record can do it again.",
        "justification": UNSAID,
        "utility": _utility(results),
        "additional_information": f"SHA-256 of the study: {results.digest}; of the release record: "
        f"{'' if results.record is None else results.record.digest()}.",
    }


def _releases(results: Results) -> str:
    """Each with its price and how many institutions were charged."""
    found: dict[tuple[str, str, float], int] = {}
    for s in results.spends:
        key = (str(s["release"]), str(s["population"]), float(s["mu"]))
        found[key] = found.get(key, 0) + 1
    return "; ".join(
        f"{name} on {rows} rows at mu {mu:.4g} ({count} charged)" for (name, rows, mu), count in found.items()
    )


def _utility(results: Results) -> str:
    if results.auc is None or results.auc_standard_error is None:
        return "not measured, or not published"
    return (
        f"AUC {results.auc:.3f} with a standard error of {results.auc_standard_error:.3f} on enterprises that the "
        "model was not made from, by a noisy histogram that is charged."
    )


def _up(epsilon: float) -> float:
    """Rounded up to six digits: a promise is never made to look better."""
    unit = 10.0 ** (math.floor(math.log10(epsilon)) - 5)
    return round(math.ceil(epsilon / unit - 1e-6) * unit, 12)


def rounded(count: int) -> int:
    """Two digits: about how many. Numbers of rows are not protected among members, and no business of others.

    >>> rounded(77358), rounded(7)
    (77000, 7)
    """
    unit = int(10 ** max(len(str(count)) - 2, 0))
    return round(count / unit) * unit
