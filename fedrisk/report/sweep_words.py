"""Models, epsilons and answers of a sweep in words."""

import math
from collections.abc import Sequence

from fedrisk.lab.summary import REFERENCE, Failure, Mean, Nature, Panel, Series
from fedrisk.language import N_, _, either, listed
from fedrisk.report.text import signed
from fedrisk.report.words import word

MODELS = {
    "bank alone": N_("each bank alone"),
    "bank alone, boosting": N_("each bank alone, boosting"),
    "bank alone, binned logistic regression": N_("each bank alone, binned logistic regression"),
    "pooled boosting": N_("pooled boosting"),
    "pooled logistic regression": N_("pooled logistic regression"),
    "pooled binned logistic regression": N_("pooled binned logistic regression"),
    "pooled scorecard in the clear": N_("pooled scorecard in the clear"),
    "pooled WoE scorecard": N_("pooled WoE scorecard"),
    "DP-EBM": "DP-EBM",
    "DP logistic regression": N_("DP logistic regression"),
    "DP naive scorecard": N_("DP naive scorecard"),
    "randomised labels, boosting": N_("randomised labels, boosting"),
}
"""Names in results, and what people read."""

NATURES: dict[Nature, str] = {
    "study": N_("studies between institutions (fedrisk)"),
    "own": N_("models that banks make for themselves beside a study"),
    "record": N_("all rows at one trusted party, noise for each row"),
    "label": N_("labels protected, features not"),
    "nothing": N_("no privacy"),
}

GIVES: dict[Nature, str] = {
    "study": N_(
        "No institution shows its rows to anybody. Each enterprise's whole contribution at each institution is hidden "
        "at the epsilon that is stated."
    ),
    "own": N_("They stay at the bank, which has those rows anyway, and have no noise of their own."),
    "record": N_(
        "Each row is hidden at the same epsilon and delta in what comes out. But one party has all rows of all "
        "institutions in the clear, and has to be trusted with them."
    ),
    "label": N_(
        "Each label is hidden at epsilon by randomised response. Features are not protected at all: one party has them "
        "in the clear, and the model is fitted to them as they are."
    ),
    "nothing": N_(
        "Nothing is hidden: what comes out may tell of single rows, and, but for a bank alone, one party has all rows."
    ),
}
"""What each kind of model protects, and from whom."""


def model_words(series: Series, panel: Panel) -> str:
    """What people read in place of a model, with what tells it from others of its recipe."""
    if series.model in MODELS:
        name = _(MODELS[series.model])
    else:
        name = word("recipe" if series.nature == "study" else "model", series.model)
    if series.nature not in ("study", "own"):
        return name
    alike = [s for s in panel.series if s.nature == series.nature and s.model == series.model]
    parts = []
    if len({s.recipe for s in alike}) > 1:
        parts.append(word("recipe", series.recipe))
    if len({s.bins for s in alike}) > 1:
        parts.append(_("bins as declared") if series.bins is None else _("{count} bins", count=series.bins))
    if len({s.settings for s in alike}) > 1:
        parts.append(series.settings.strip("{}").replace('"', "") or _("settings as usual"))
    return _("{name} ({more})", name=name, more=listed(parts)) if parts else name


def panel_words(panel: Panel, panels: Sequence[Panel]) -> str:
    """The data set, with the number of institutions where it varies."""
    alike = [p for p in panels if p.data_set == panel.data_set]
    if len(alike) < 2:
        return panel.data_set
    if panel.institutions is None:
        return _("{data_set}, all institutions", data_set=panel.data_set)
    return either(
        "{data_set}, {count} institution",
        "{data_set}, {count} institutions",
        panel.institutions,
        data_set=panel.data_set,
    )


def epsilon_words(epsilon: float) -> str:
    """An epsilon as an axis or a table has it."""
    return f"{epsilon:g}" if math.isfinite(epsilon) else _("no noise")


def mean_words(found: Mean | None, digits: int = 3, *, plus: bool = False) -> str:
    """A mean with its interval; plus: with its sign. A dash where there is none.

    >>> mean_words(Mean(value=0.71, low=0.7, high=0.72, seeds=5))
    '0.710 (0.700 to 0.720)'
    """
    if found is None or math.isnan(found.value):
        return "–"
    value, low, high = (
        None if v is None else signed(v, digits) if plus else f"{v:.{digits}f}".replace("-", "−")
        for v in (found.value, found.low, found.high)
    )
    return str(value) if low is None else _("{value} ({low} to {high})", value=value, low=low, high=high)


def answers(panel: Panel) -> list[str]:
    """What a data set says, in sentences with figures: each recipe against pooled boosting, and beside others."""
    epsilon = panel.headline_epsilon()
    said = [_answer(panel, series, epsilon) for series in panel.main if series.at(epsilon)]
    said += [_best_in_the_clear(panel), _alone(panel), _best_private(panel, epsilon)]
    return [text for text in said if text]


def _answer(panel: Panel, series: Series, epsilon: float) -> str:
    point = series.at(epsilon)
    if point is None or "auc" not in point.figures:
        return ""
    shared = {
        "at": _("At epsilon {epsilon}", epsilon=f"{epsilon:g}")
        if math.isfinite(epsilon)
        else _("Without noise"),
        "model": model_words(series, panel),
        "auc": mean_words(point.figures["auc"]),
    }
    gap = point.difference
    if gap is None:
        return _("{at} the {model} ranks with an AUC of {auc}.", **shared)
    shared |= {"gap": f"{abs(gap.value):.3f}"}
    below = gap.value < 0
    if gap.low is None or gap.high is None:
        return _(
            N_(
                "{at} the {model} ranks {gap} below pooled boosting on the same rows (AUC {auc}; one "
                "seed, so the difference has no interval)."
            )
            if below
            else N_(
                "{at} the {model} ranks {gap} above pooled boosting on the same rows (AUC {auc}; one "
                "seed, so the difference has no interval)."
            ),
            **shared,
        )
    shared |= {"low": signed(gap.low), "high": signed(gap.high), "seeds": str(gap.seeds)}
    if gap.low <= 0 <= gap.high:
        return _(
            N_(
                "{at} the {model} ranks {gap} below pooled boosting on the same rows; {seeds} seeds leave open whether "
                "it does at all (difference {low} to {high} at 95%; AUC {auc})."
            )
            if below
            else N_(
                "{at} the {model} ranks {gap} above pooled boosting on the same rows; {seeds} seeds leave open whether "
                "it does at all (difference {low} to {high} at 95%; AUC {auc})."
            ),
            **shared,
        )
    return _(
        N_(
            "{at} the {model} ranks {gap} below pooled boosting on the same rows (difference {low} to "
            "{high} at 95%, {seeds} seeds; AUC {auc})."
        )
        if below
        else N_(
            "{at} the {model} ranks {gap} above pooled boosting on the same rows (difference {low} to "
            "{high} at 95%, {seeds} seeds; AUC {auc})."
        ),
        **shared,
    )


def _best_in_the_clear(panel: Panel) -> str:
    """Where pooled boosting, which others are held against, is not the best that pooled rows give."""
    found = [s for s in panel.series if s.nature == "nothing" and not s.model.startswith("bank alone")]
    best = max(found, key=lambda s: s.points[0].value("auc"), default=None)
    if best is None or best.model == REFERENCE:
        return ""
    return _(
        "Of models without privacy on pooled rows, {model} ranks best, with an AUC of {auc}.",
        model=model_words(best, panel),
        auc=f"{best.points[0].value('auc'):.3f}",
    )


def _alone(panel: Panel) -> str:
    best = panel.best_alone()
    if best is None:
        return ""
    return _(
        "Its banks alone, without any privacy, rank with an AUC of {auc} ({model}).",
        auc=f"{best.points[-1].value('auc'):.3f}",
        model=model_words(best, panel),
    )


def _best_private(panel: Panel, epsilon: float) -> str:
    found = [(s, s.at(epsilon)) for s in panel.series if s.nature == "record"]
    there = [(s, p) for s, p in found if p is not None]
    if not there:
        return ""
    series, point = max(there, key=lambda pair: pair[1].value("auc"))
    return _(
        "Of models with the same epsilon and all rows at one trusted party, {model} ranks best, with an AUC of {auc}.",
        model=model_words(series, panel),
        auc=f"{point.value('auc'):.3f}",
    )


def failure_words(failure: Failure) -> str:
    """Why a model has no figures: in words where it is known, else its code."""
    kind, found, detail = failure.error.partition(": ")
    if kind == "package" and found:
        return _("left out: the package {name} is not installed (pip install fedrisk[lab])", name=detail)
    if kind == "baseline" and found:
        return _("fitting it failed ({code})", code=detail)
    return failure.error


def reference_words() -> str:
    """What models are held against."""
    return _(MODELS[REFERENCE])
