"""What pages and screens say of alerts: which sign, what it passed, since when, and what is not looked for at all."""

from collections.abc import Mapping
from typing import Any

from fedrisk.language import _, either, of_kind
from fedrisk.models.scorecard import EXTERNAL
from fedrisk.report.bin_words import bin_words
from fedrisk.report.validation_words import percent


def why(alert: Mapping[str, Any]) -> list[str]:
    """Why an alert was raised, a sentence for each sign, with the limit that it passed."""
    return [_sign(str(rule), alert, alert.get("limits") or {}) for rule in alert["rules"]]


def _sign(rule: str, alert: Mapping[str, Any], limits: Mapping[str, Any]) -> str:
    if rule == "fall":
        known = {"points": abs(alert["points"] or 0), "since": alert["since"]}
        if "fall" not in limits:
            return _("score fell by {points} points since {since}", **known)
        return _(
            "score fell by {points} points since {since}; limit {limit}, against the best of {months} months",
            limit=limits["fall"],
            months=limits["months"],
            **known,
        )
    if rule == "probability":
        p = percent(alert["probability"])
        if "probability" not in limits:
            return _("probability {p} is above the threshold", p=p)
        return _("probability {p}; limit {limit}", p=p, limit=_short(limits["probability"]))
    if rule == "warning":
        return _warning(alert["warning"], limits)
    return rule


def _warning(score: Any, limits: Mapping[str, Any]) -> str:
    if "warning" not in limits:
        return _("the warning model gives {score}", score=score)
    known = {"score": score, "model": limits["warning_model"], "limit": limits["warning"]}
    if limits.get("false_alarms") is None:
        return _("{model} gives {score}; threshold {limit} (watch.warning_threshold)", **known)
    return _(
        "{model} gives {score}; threshold {limit}, set at {rate} false alarms",
        rate=_short(limits["false_alarms"]),
        **known,
    )


def signs(rules: Mapping[str, Any]) -> list[str]:
    """What a month looked for, a phrase for each sign."""
    out = []
    if rules.get("fall"):
        out.append(
            _(
                "a score at least {limit} points below the best of the last {months} months",
                limit=rules["fall"],
                months=rules["months"],
            )
        )
    if rules.get("probability") is not None:
        out.append(_("a probability of {limit} or more", limit=_short(rules["probability"])))
    if rules.get("warning") is not None:
        known = {"limit": rules["warning"], "model": rules["warns"]}
        if rules.get("false_alarms") is None:
            out.append(_("a score of {limit} or less by {model} (watch.warning_threshold)", **known))
        else:
            known["rate"] = _short(rules["false_alarms"])
            out.append(_("a score of {limit} or less by {model} (set at {rate} false alarms)", **known))
    return out


def not_looked_for(rules: Mapping[str, Any]) -> list[str]:
    """Which sign is missing though it was to be expected, why, and what to do."""
    out = []
    if rules.get("without") == "unconfirmed":
        out.append(
            _(
                "There is no warning sign: not all banks of the model's study have confirmed its threshold to each "
                "other yet. They do by themselves once the nodes of all of them run; until then only "
                "watch.warning_threshold in the bank's file sets one."
            )
        )
    elif rules.get("without") == "untold":
        out.append(
            _(
                "There is no warning sign: the hub has not told this bank the totals that the model's threshold "
                "follows from yet. It does while the nodes of all banks run; until then only watch.warning_threshold "
                "in the bank's file sets one."
            )
        )
    elif rules.get("without") == "noise":
        out.append(
            _(
                "There is no warning sign: noise and the size of the hold-out left the model's study no threshold that "
                "keeps its rate of false alarms. Set watch.warning_threshold in the bank's file, or watch by another "
                "model."
            )
        )
    elif rules.get("without") == "edited":
        out.append(
            _(
                "There is no warning sign: the model is of an edited card, and the threshold of its study is not of "
                "its scores. Set watch.warning_threshold in the bank's file."
            )
        )
    elif rules.get("without") == "later":
        out.append(
            _(
                "There is no warning sign in this month: watch.warning was named after it was begun, and that model "
                "was not asked. From the next month on it is."
            )
        )
    if not signs(rules):
        out.append(
            _(
                "No alert can be raised: the bank's file sets none of fall, probability and warning in [watch], and no "
                "threshold of a warning is known."
            )
        )
    return out


def _short(rate: float) -> str:
    """A limit as it was stated, in per cent."""
    return f"{100 * rate:.6g}%"


def stock(number: int) -> str:
    """That these alerts are of loans above a limit when it was looked for for the first time."""
    return either(
        "{count:,} alert is of the stock: a loan that was past a limit already when this watch, a model or a limit "
        "began. Nothing need have happened to it in this month.",
        "{count:,} alerts are of the stock: loans that were past a limit already when this watch, a model or a limit "
        "began. Nothing need have happened to them in this month.",
        number,
    )


def moved(alert: Mapping[str, Any]) -> list[str]:
    """What changed since the score was at its best: own columns by bin, and others' points in one sum."""
    out = [f"{m['column']}: {bin_words(m['was'])} → {bin_words(m['now'])}" for m in alert["moved"]]
    if alert["external"]:
        out.append(_("what others know: {points:+d} points", points=alert["external"]))
    return out


def reason(of: str) -> str:
    """A reason of a score: a column, or all that others know."""
    return of_kind("watch", "external data") if of == EXTERNAL else of


def state(alert: Mapping[str, Any]) -> str:
    """How an alert stands."""
    if alert["state"] == "closed":
        return of_kind("watch", "closed")
    if alert.get("over"):
        return _("over since {month}", month=alert["over"])
    return of_kind("watch", "acknowledged") if alert["state"] == "acknowledged" else of_kind("watch", "open")


def act(what: str) -> str:
    """What a person did with an alert."""
    return of_kind("watch", "closed") if what == "closed" else of_kind("watch", "acknowledged")


def sign(rule: str) -> str:
    """A sign in few words."""
    return {
        "fall": _("score fell"),
        "probability": of_kind("watch", "probability"),
        "warning": _("warning model"),
    }.get(rule, rule)
