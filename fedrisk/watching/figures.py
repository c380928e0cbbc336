"""The figures of a watched month, gathered from what the bank keeps of it and of the months before."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE, MasterScale
from fedrisk.analysis.watch.back_testing import BackTest, BackTestRules, Cohort, back_test, cohort
from fedrisk.analysis.watch.challenge import Agreement, Contest, agreement, contest
from fedrisk.analysis.watch.drift_alarms import Drifted, DriftRules, drifted
from fedrisk.analysis.watch.month_figures import MonthFigures
from fedrisk.analysis.watch.portfolio import Migrations, MonthRisk, Unscored, migrations, month_risk
from fedrisk.analysis.watch.warned import Warned, warned
from fedrisk.clients.node import Node
from fedrisk.models.model_part import ModelPart
from fedrisk.models.scorecard import Scorecard
from fedrisk.serving.words import of_code
from fedrisk.study import DEFAULT_LABEL
from fedrisk.watching.alert_book import AlertBook, Standing
from fedrisk.watching.development import Development, development
from fedrisk.watching.drift_counts import Reference, counted, scored
from fedrisk.watching.history import CHALLENGER, SCORES, Kept
from fedrisk.watching.losses import month_losses
from fedrisk.watching.month import Month
from fedrisk.watching.month_rules import kept_rules

YEAR = 12

Rows = Mapping[Month, pd.DataFrame]


def month_figures(
    node: Node,
    kept: Kept,
    month: Month,
    *,
    scale: MasterScale = DEFAULT_SCALE,
    drift: DriftRules | None = None,
    back: BackTestRules | None = None,
) -> MonthFigures:
    """All figures of a month that is kept; the same however many months follow, but for outcomes and alerts.

    StoreError where a file of the watch is damaged.
    """
    drift, back, about = drift or DriftRules(), back or BackTestRules(), kept.about(month)
    part = node.store.models.part(about["model"]) if node.store.models.has(about["model"]) else None
    own = None if part is None else development(node, part)
    card = None if part is None else card_of_rows(part)
    months = same_model(kept, month)
    rows = {m: scored(kept, m, SCORES) for m in months}
    reference = Reference.of(own, card, scale, (rows[months[0]], kept.own_columns(months[0])))
    found, against = _drift(kept, months, rows, reference, drift)
    outcomes = _outcomes(kept)
    ends = _ends(kept, month, outcomes)
    tested, cohorts = _back_test(ends, scale, own, back)
    agreed, fought = _challenged(kept, month, outcomes, scale, tested)
    new, standing, closed = _alerts(kept, month)
    signs = kept_rules(kept, month)
    return MonthFigures(
        bank=node.name,
        watch=kept.folder.name,
        month=str(month),
        model=about,
        course=tuple(_risk(node, kept, m, rows[m], scale) for m in months),
        grades=scale.names,
        migrations=_migrations(months, rows, scale),
        unscored=Unscored(counts=about["codes"], words={code: of_code(code) for code in about["codes"]}),
        new=new,
        standing=standing,
        closed=closed,
        label=_label(node, part),
        signs=None if signs is None else asdict(signs),
        drift=found,
        rules=drift,
        development=against,
        cohorts=cohorts,
        back_test=tested,
        warned=_warned(kept, part, ends, cohorts),
        challenger=None if agreed is None else kept.about(month, CHALLENGER),
        agreement=agreed,
        contest=fought,
    )


def _label(node: Node, part: ModelPart | None) -> dict[str, str]:
    """What the model foretells, as the bank's dictionary says it: name, and where it is known horizon and meanings."""
    name = (None if part is None else part.label) or DEFAULT_LABEL
    dictionary = node.institution.dictionary
    for one in () if dictionary is None else dictionary.labels:
        if one.name == name:
            said = {"horizon": one.horizon, "meaning": one.meaning, "meaning_zh": one.meaning_zh}
            return {"name": name, **said}
    return {"name": name}


def card_of_rows(part: ModelPart) -> Scorecard | None:
    """The card by whose points the bank's rows of the study stand in its store: the calibrated one, as in scores."""
    text = part.calibrated or part.card
    return None if text is None else Scorecard.from_json(text)


def same_model(kept: Kept, month: Month) -> list[Month]:
    """Months up to this one that were scored by its model, the oldest first, a year and one at most."""
    model = kept.about(month)["model"]
    earlier = [m for m in kept.months() if m <= month and kept.about(m)["model"] == model]
    return earlier[-YEAR - 1 :]


def _drift(
    kept: Kept, months: Sequence[Month], rows: Rows, reference: Reference, rules: DriftRules
) -> tuple[dict[str, tuple[Drifted, ...]], dict[str, str]]:
    found: dict[str, tuple[Drifted, ...]] = {}
    against: dict[str, str] = {}
    for k, month in enumerate(months):
        made, against = counted(kept, month, months[k - 1] if k else None, rows, reference)
        found[str(month)] = drifted(made, rules, nameable=k == len(months) - 1)
    return found, against


def _risk(node: Node, kept: Kept, month: Month, rows: pd.DataFrame, scale: MasterScale) -> MonthRisk:
    loans, losses = int(kept.about(month)["rows"]), month_losses(node, kept, month, rows)
    found = month_risk(str(month), loans, rows["probability"], rows["score"], scale=scale)
    return found if losses is None else replace(found, **vars(losses))


def _migrations(months: Sequence[Month], rows: Rows, scale: MasterScale) -> Migrations | None:
    if len(months) < 2:
        return None
    before, now = ((rows[m].index.to_numpy(object), rows[m]["probability"].to_numpy()) for m in months[-2:])
    return migrations(str(months[-2]), before, now, scale)


def _outcomes(kept: Kept) -> pd.DataFrame:
    """Outcomes by month and id, each once: the last that was told counts."""
    table = kept.outcomes()
    if table is None:
        return pd.DataFrame({"outcome": []}, index=pd.MultiIndex.from_arrays([[], []], names=["month", "id"]))
    frame: pd.DataFrame = table.to_pandas()
    return frame.drop_duplicates(["month", "id"], keep="last").set_index(["month", "id"])[["outcome"]]


def _with_outcomes(rows: pd.DataFrame, month: Month, outcomes: pd.DataFrame) -> "pd.Series[float]":
    there = str(month) in outcomes.index.get_level_values(0)
    if not there:
        return pd.Series(np.nan, rows.index)
    return outcomes.loc[str(month)]["outcome"].astype(float).reindex(rows.index)


Ends = Mapping[Month, tuple[pd.DataFrame, "pd.Series[float]"]]
"""By month: rows with a score, and their outcomes (NaN where none is known)."""


def _ends(kept: Kept, month: Month, outcomes: pd.DataFrame) -> Ends:
    """Months up to this one of the same model that have outcomes, the oldest first."""
    known = set(outcomes.index.get_level_values(0))
    model = kept.about(month)["model"]
    there = [m for m in kept.months() if str(m) in known and m <= month and kept.about(m)["model"] == model]
    rows = {m: scored(kept, m, SCORES) for m in there[-2 * YEAR :]}
    return {m: (frame, _with_outcomes(frame, m, outcomes)) for m, frame in rows.items()}


def _back_test(
    ends: Ends, scale: MasterScale, own: Development | None, rules: BackTestRules
) -> tuple[BackTest | None, tuple[Cohort, ...]]:
    """The newest matured month with its outcomes, else the newest with any; and all months that have some."""
    found = {m: cohort(str(m), rows["probability"], end, rules) for m, (rows, end) in ends.items()}
    chosen = [m for m in found if found[m].matured] or list(found)
    if not chosen:
        return None, ()
    at = chosen[-1]
    rows, end = ends[at]
    tested = back_test(
        str(at),
        rows["probability"],
        end,
        scale=scale,
        development=None if own is None else own.auc,
        rules=rules,
    )
    return tested, tuple(found.values())


def _warned(kept: Kept, part: ModelPart | None, ends: Ends, cohorts: Sequence[Cohort]) -> tuple[Warned, ...]:
    """Warnings of months with outcomes; none where the watched model warns of nothing by itself."""
    out = []
    for (month, (rows, end)), one in zip(ends.items(), cohorts, strict=True):
        rules = kept_rules(kept, month)
        if part is None or rules is None or rules.warning is None or rules.warns != part.name:
            # Another model's warnings are of another label, of which these are not the outcomes.
            continue
        point = part.warning if rules.false_alarms is not None else None
        out.append(warned(str(month), rows["score"], end, rules.warning, matured=one.matured, point=point))
    return tuple(out)


def _challenged(
    kept: Kept, month: Month, outcomes: pd.DataFrame, scale: MasterScale, tested: BackTest | None
) -> tuple[Agreement | None, Contest | None]:
    if not kept.file(month, CHALLENGER).is_file():
        return None, None
    both = _both(kept, month)
    agreed = agreement(str(month), both["probability"], both["probability_other"], scale)
    if tested is None:
        return agreed, None
    then = Month.parse(tested.cohort.month)
    if not kept.file(then, CHALLENGER).is_file():
        return agreed, None
    past = _both(kept, then)
    end = _with_outcomes(past, then, outcomes)
    past, end = past[end.notna()], end[end.notna()]
    return agreed, contest(str(then), end, past["probability"], past["probability_other"])


def _both(kept: Kept, month: Month) -> pd.DataFrame:
    one, other = scored(kept, month, SCORES), scored(kept, month, CHALLENGER)
    return one.join(other.add_suffix("_other"), how="inner")


Told = tuple[Mapping[str, Any], ...]


def _alerts(kept: Kept, month: Month) -> tuple[Told, Told, Told]:
    """Alerts raised in a month, those open from before, and those over in it or closed since the month before."""
    every = [one for one in AlertBook(kept.folder).standing() if Month.parse(one.alert.month) <= month]
    new = [one for one in every if one.alert.month == str(month)]
    before = [one for one in every if one.alert.month != str(month)]
    earlier = [str(m) for m in kept.months() if m < month]
    lately = {str(month), *earlier[-1:]}
    over = [one for one in before if one.over == str(month) or _shut(one) in lately]
    open_ = [one for one in before if not _shut(one) and (one.over is None or one.over > str(month))]
    return _told(new), _told(open_), _told(over)


def _shut(one: Standing) -> str:
    """Last month that was kept when a person closed an alert; empty where nobody has."""
    return "".join(act["month"] for act in one.acts if act["what"] == "closed")


def _told(alerts: Sequence[Standing]) -> Told:
    """The riskiest first: a page has room for so many."""
    return tuple(one.to_dict() for one in sorted(alerts, key=lambda one: -one.alert.probability))
