"""The study's estimator in the clear: the same tables pooled by id, the same bins, sums, card, calibration and scores.

What a private study does besides is left out: pseudonyms, envelopes, secure products, noise, ledgers, trails. Rows of the
Gram matrix are as many as the study samples, so that both sides do the same arithmetic. The result has no privacy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.calibration import emulation as lab
from fedrisk.analysis.card_sums import label_counts, sizes_of
from fedrisk.data.features import features_of
from fedrisk.institution import load_institution
from fedrisk.metrics import auc
from fedrisk.recipes.bins import find_bins
from fedrisk.recipes.scorecard.fitting import Facts, calibrate, card_bins, card_from, second_release
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.study import Study
from fedrisk.study_members import BANK


@dataclass
class Watch:
    """Seconds, and processor seconds, by name of a step, in order."""

    seconds: dict[str, float] = field(default_factory=dict)
    processor: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
        self.processor[name] = self.processor.get(name, 0.0) + time.process_time() - processor


def in_the_clear(study: Study, paths: Mapping[str, Path], out: Path) -> dict[str, Any]:
    """Fit on one row for each enterprise, score all rows of all banks, write the scores; seconds and AUC."""
    watch = Watch()
    privacy = study.privacy.model_copy(update={"epsilon": float("inf")})
    study = study.model_copy(update={"privacy": privacy})
    with watch("tables: read and checked"):
        loaded = {name: load_institution(path) for name, path in paths.items()}
        tables = {name: one.read() for name, one in loaded.items()}
    with watch("joined by id"):
        data, ids = _joined(study, loaded, tables)
        first = np.sort(np.unique(ids, return_index=True)[1])
        train, held = lab.split(len(first), 1, study.holdout.percent)
        train, held = first[train], first[held]
    rng = np.random.default_rng(1)
    plan = make_plan(study, data.features)
    facts = Facts.of_plain_labels(study, plan, len(train))
    with watch("bins and codes"):
        bins = card_bins(
            find_bins(study, plan, lab._edges(facts, data.rows(train), rng), len(train), plan.mu("counts"))
        )
        codes = data.codes(bins)
    part = [c[train] for c in codes]
    with watch("label counts"):
        sizes = sizes_of(bins, study.roles)
        columns = [c for c, b in zip(part, bins, strict=True) if b.feature.is_column]
        counts = label_counts(lab._counts(facts.counts(bins), sizes, columns, data.label[train], rng), sizes)
    with watch("Gram matrix"):
        second = second_release(facts, bins, counts, facts.curves(bins, counts))
        again = lab._second(facts, second, bins, part, data.label[train], rng)
    with watch("card"):
        card = card_from(facts, bins, counts, second, again)
        raw = _points(card, codes)
        place = np.searchsorted(card.calibration_bins(CALIBRATION_BINS), raw[train], side="right")
        label = data.label[train]
        exact = np.stack([np.bincount(place, w, CALIBRATION_BINS) for w in (label, 1 - label)], 1)
        card = calibrate(card, lab.noisy(plan.release("calibration"), {BANK: exact}, rng))
    with watch("scores and reasons"):
        total = _points(card, codes)
        own = [c for c, b in zip(codes, bins, strict=True) if b.feature.institution == BANK]
        external = total - card.base_points - card.institution_points(BANK, own)
        reasons = [", ".join(r) for r in card.reasons(own, external)]
        frame = pd.DataFrame(
            {"id": ids, "score": total, "probability": card.probability(total), "reasons": reasons}
        )
        frame.to_parquet(out / "scores.parquet", index=False)
        figures = {"auc": auc(data.label[held], -total[held].astype(float))}
    return {"seconds": watch.seconds, "processor": watch.processor, **figures}


def _joined(
    study: Study, loaded: Mapping[str, Any], tables: Mapping[str, Any]
) -> tuple[lab.Portfolio, NDArray[Any]]:
    """All rows of all banks with the holders' columns of the same id, and their ids."""
    banks = [tables[name] for name in study.banks]
    ids = np.concatenate([np.asarray(t.ids) for t in banks])
    frames = {BANK: pd.concat([t.frame for t in banks], ignore_index=True)}
    features, known = list(features_of(loaded[study.banks[0]].dictionary, BANK)), {}
    for name in study.holders:
        place = pd.Index(tables[name].ids).get_indexer(ids)
        known[name] = place >= 0
        frames[name] = tables[name].frame.iloc[np.maximum(place, 0)].reset_index(drop=True)
        features += features_of(loaded[name].dictionary, name)
    data = lab.Portfolio(
        study=study,
        features=tuple(features),
        frames=frames,
        known=known,
        label=np.concatenate([t.label for t in banks]).astype(float),
        bank=np.concatenate([np.full(len(t), n) for n, t in zip(study.banks, banks, strict=True)]),
    )
    return data, ids


def _points(card: Any, codes: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    total = np.full(len(codes[0]), card.base_points, np.int64)
    for points, code in zip(card.points, codes, strict=True):
        total += np.asarray(points)[code]
    return total
