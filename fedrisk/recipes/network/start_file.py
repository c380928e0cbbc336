"""At the hub: the scorecard at which a network begins, read once, when the study is run or proposed.

What is in it is stated in the study by its digest, so that members approve what they read and running it later finds
the same (server/knowledge).
"""

import json
import math
from functools import partial
from pathlib import Path

import numpy as np

from fedrisk.errors import ConfigError
from fedrisk.findings import Finding
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.models.prior import MOST_SHIFT, Prior, PriorCurve
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.network.plan import make_plan
from fedrisk.recipes.network.settings import MOST_ODDS, NetworkSettings
from fedrisk.recipes.network.start import stated
from fedrisk.server import knowledge
from fedrisk.server.hub import Hub
from fedrisk.server.knowledge import Beforehand
from fedrisk.server.own_run import own_run, refuse_other_label
from fedrisk.study import Study
from fedrisk.study_members import BANK

MOST_SOURCE = 200


def look_up(study: Study, hub: Hub, research: bool) -> Beforehand:
    """The study with its start stated in it, and the card's curves; nothing is written.

    ConfigError where the file is no scorecard that may be used, or is none of a bank's columns; StoreError where what
    is stated already is not in the hub's store.
    """
    settings = NetworkSettings.of(study)
    if settings.start is None:
        return Beforehand(study=study, plan=make_plan)
    if settings.known is not None:
        known = knowledge.load(hub, settings.known.digest)
        if stated(known, settings.known.intercept) != settings.known:
            raise ConfigError(
                "what the study states of its start is not what the hub keeps under that digest; propose the study "
                "again from its file"
            )
        return _beforehand(study, known)
    known, intercept = read_start(settings.start, research=research)
    refuse_other_label(f"network.start: {settings.start}", study, own_run(Path(settings.start), hub))
    full = settings.model_copy(update={"known": stated(known, intercept)})
    return _beforehand(study.model_copy(update={"settings": full.model_dump(mode="json")}), known)


def read_start(name: str, *, research: bool) -> tuple[Knowledge, float]:
    """The curves of a scorecard's bank columns, and its log-odds of default where all of them are average.

    ConfigError where it cannot be read, is none, is of a research run and not for one, or has no column of a bank.
    """
    try:
        card = Scorecard.from_json(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"network.start: {name} cannot be read: {error.strerror}; name the scorecard.json of an earlier study"
        ) from None
    except (ConfigError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError):
        raise ConfigError(
            f"network.start: {name} is no scorecard that this version reads; name the scorecard.json of an earlier "
            "study"
        ) from None
    if card.notice is not None and not research:
        raise ConfigError(
            f"network.start: {name} is of a research run: its numbers have no privacy, and enter no study that has "
            "any; take another one"
        )
    if not (math.isfinite(card.intercept) and abs(card.intercept) <= MOST_ODDS):
        raise ConfigError(f"network.start: {name} has no sensible default rate; take another one")
    curves = tuple(
        PriorCurve(bins=b, shift=_shift(points, average, card.scale.factor))
        for b, points, average in zip(card.bins, card.points, card.averages, strict=True)
        if b.feature.institution == BANK and b.feature.is_column
    )
    if not curves:
        raise ConfigError(
            f"network.start: {name} has no column of a bank, which a network is trained on; take the scorecard of a "
            "study in which banks brought columns"
        )
    source = "".join(c for c in f"scorecard of study {card.study} ({Path(name).name})" if c.isprintable())
    return Knowledge(prior=Prior(source=source[:MOST_SOURCE], curves=curves)), float(card.intercept)


def _shift(points: tuple[int, ...], average: float, factor: float) -> tuple[float, ...]:
    """More points are less risk."""
    return tuple(float(v) for v in np.clip((average - np.asarray(points)) / factor, -MOST_SHIFT, MOST_SHIFT))


def _beforehand(study: Study, known: Knowledge) -> Beforehand:
    prior = known.prior
    said = (
        ()
        if prior is None
        else (Finding("start_known", {"source": prior.source, "curves": len(prior.curves)}),)
    )
    return Beforehand(
        study=study, knowledge=known or NOTHING, plan=partial(make_plan, known=known), findings=said
    )
