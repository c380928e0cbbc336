"""Two sweeps in figures for people: means over hold-outs with intervals, and what was said of hard cases.

Intervals are those of the sweep's own page (`fedrisk.lab.summary`): of five hold-outs of one data set, whose rows
overlap, with the variance of Nadeau & Bengio (2003).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from fedrisk.analysis.guarantee import guarantee
from fedrisk.lab.summary import Mean, mean_over_seeds, overlap_of
from fedrisk.privacy.accounting import LABEL_IN_COUNTS

CARD, ALONE, BOOSTING = "scorecard", "bank alone", "pooled boosting"
DIGITS = 5
ANY = "any"
"""In the place of an epsilon, for models that know none."""


def key_of(epsilon: float) -> str:
    """An epsilon as a key of results.json."""
    return f"{epsilon:g}"


def read(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table of a sweep, and what its file says of how it was made."""
    found = pq.read_schema(folder / "results.parquet").metadata or {}
    about = {
        name.decode().removeprefix("fedrisk."): text.decode()
        for name, text in found.items()
        if name.startswith(b"fedrisk.")
    }
    return pd.read_parquet(folder / "results.parquet"), about


def data_sets(rows: pd.DataFrame) -> dict[str, Any]:
    """By data set: its size, and figures of each model by epsilon."""
    found: dict[str, Any] = {}
    done = rows[(rows["error"].fillna("") == "") & rows["auc"].notna() & (rows["kind"] != "quoted")]
    for name, part in done.groupby("data_set", sort=False):
        first = part.iloc[0]
        against = {
            m: part[part["model"] == m].drop_duplicates("cell").set_index("cell") for m in (ALONE, BOOSTING)
        }
        found[str(name)] = {
            "rows": int(first["rows_training"] + first["rows_holdout"]),
            "defaults": int(first["defaults_training"] + first["defaults_holdout"]),
            "defaults_holdout": int(first["defaults_holdout"]),
            "seeds": int(part["seed"].nunique()),
            "models": {
                str(m): dict(_by_epsilon(own, against)) for m, own in part.groupby("model", sort=False)
            },
        }
    return found


def _by_epsilon(
    own: pd.DataFrame, against: Mapping[str, pd.DataFrame]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Figures of a model at each epsilon; of one that knows none, once."""
    first = own.iloc[0]
    apart = (
        (first["kind"] == "study" and first["model"] != ALONE) or first["private"] or first["label_private"]
    )
    if not apart:
        once = own.drop_duplicates("seed")
        yield ANY, _figures(once, against)
        return
    for epsilon, part in own.groupby("epsilon"):
        yield key_of(float(str(epsilon))), _figures(part, against)


def _figures(part: pd.DataFrame, against: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    overlap = overlap_of(part)
    found: dict[str, Any] = {"seeds": len(part)}
    for name, column in (("auc", "auc"), ("slope", "calibration_slope")):
        values = part[column].dropna().to_list()
        if values:
            found[name] = _interval(mean_over_seeds(values, overlap))
    if len(part) == 1:
        # Of one hold-out there is the interval of its rows (DeLong, DeLong & Clarke-Pearson 1988).
        found["auc"] = [round(float(part.iloc[0][c]), DIGITS) for c in ("auc", "auc_low", "auc_high")]
    for name, other in (("to_boosting", BOOSTING), ("to_alone", ALONE)):
        less = (part["auc"] - part["cell"].map(against[other]["auc"])).dropna() if len(against[other]) else []
        if len(less) and part["model"].iloc[0] != other:
            found[name] = _interval(mean_over_seeds(less.to_list(), overlap))
    for name in ("seconds", "bytes", "exchanges"):
        if name in part and part[name].notna().any():
            found[name] = round(float(part[name].mean()), 1)
    return found


def _interval(mean: Mean) -> list[float | None]:
    """Value, lower and upper end; None where one hold-out has no spread."""
    return [None if x is None else round(float(x), DIGITS) for x in (mean.value, mean.low, mean.high)]


def less(found: Mapping[str, Any], other: str) -> list[dict[str, Any]]:
    """The card less another private model at the same epsilon, by data set: differences of means."""
    lines = []
    for name, one in found.items():
        for epsilon, figures in one["models"][CARD].items():
            there = one["models"].get(other, {}).get(epsilon)
            if there is not None:
                apart = figures["auc"][0] - there["auc"][0]
                lines.append({"data_set": name, "epsilon": epsilon, "less": round(apart, DIGITS)})
    return lines


def meanings(rows: pd.DataFrame) -> dict[str, Any]:
    """By epsilon: what it promises of one enterprise."""
    found = {}
    cards = rows[(rows["model"] == CARD) & rows["mu"].notna()]
    for epsilon, part in cards.groupby("epsilon"):
        said = guarantee(float(part["mu"].iloc[0]), float(part["delta"].iloc[0]), label=LABEL_IN_COUNTS)
        found[key_of(float(str(epsilon)))] = {
            "mu": round(said.mu, DIGITS),
            "right": round(said.right, DIGITS),
            "label": round(said.label_flipped, DIGITS),
            "replaced": round(said.replaced, DIGITS),
            "year": round(said.repeated[-1].epsilon, DIGITS),
        }
    return found


def gather(folder: Path, kept: Path) -> None:
    """Take what banks were told by their own hold-outs over from the stores of a sweep, which the next call removes."""
    content = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for file in sorted(folder.glob("*/**/own_figures.json")):
        store = file.relative_to(folder).parts
        verdict = json.loads(file.read_text(encoding="utf-8")).get("verdict")
        bank = store[1:-3][-1] if len(store) > 3 else store[1]
        content.setdefault(store[0].split("-")[0], {})[bank] = verdict
    kept.write_text(json.dumps(content, sort_keys=True), encoding="utf-8")


def after(rows: pd.DataFrame, verdicts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """By data set and epsilon: what banks' own hold-outs said of the card, and the gain over the banks alone."""
    found: dict[str, dict[str, Any]] = {}
    cards = rows[(rows["model"] == CARD) & (rows["error"].fillna("") == "")]
    for (name, epsilon), part in cards.groupby(["data_set", "epsilon"], sort=False):
        told = [v for cell in part["cell"] for v in verdicts.get(cell, {}).values() if v]
        if not told:
            continue
        uses = [v["use"] for v in told]
        gains = [gain_of(verdicts[cell]) for cell in part["cell"] if any(verdicts.get(cell, {}).values())]
        found.setdefault(str(name), {})[key_of(float(str(epsilon)))] = {
            "verdicts": len(told),
            "use": {u: uses.count(u) for u in ("alone", "champion", "personal", "scorecard")},
            "card_below": sum(_card(v)["value"] < 0 for v in told),
            "gain": [round(g, DIGITS) for g in gains],
            "mean_gain": _interval(mean_over_seeds(gains, overlap_of(part))),
        }
    return found


def _card(verdict: Mapping[str, Any]) -> Mapping[str, float]:
    return verdict["against_own"][CARD]["auc"]


def gain_of(banks: Mapping[str, Any]) -> float:
    """Gain of the card over the banks alone, the mean of banks by their defaults in the hold-out."""
    told = [v for v in banks.values() if v]
    defaults = [v["defaults"] for v in told]
    return sum(n * _card(v)["value"] for n, v in zip(defaults, told, strict=True)) / sum(defaults)


def foreseen(before: Mapping[str, Any], came: Mapping[str, Any]) -> dict[str, int]:
    """How many studies gained what lies within the bounds that were given before for their data set and epsilon."""
    held = [
        said["low"] <= gain <= said["high"]
        for name, case in came.items()
        for epsilon, at in case.items()
        if "low" in (said := before.get(name, {}).get(epsilon, {}))
        for gain in at["gain"]
    ]
    return {"within": sum(held), "of": len(held)}
