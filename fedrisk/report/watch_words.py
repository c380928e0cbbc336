"""What the page of a watched month says: verdicts, lights, reasons of alerts, and what a figure stands on."""

from collections.abc import Mapping, Sequence
from math import sqrt

from fedrisk.analysis.stability import MOVED, STABLE, Stability
from fedrisk.analysis.watch.back_testing import BackTest
from fedrisk.analysis.watch.challenge import Contest
from fedrisk.analysis.watch.drift_alarms import POWER, Drifted
from fedrisk.analysis.watch.month_figures import MonthFigures
from fedrisk.analysis.watch.portfolio import MonthRisk
from fedrisk.analysis.watch.warned import Warned
from fedrisk.language import _, either, language, listed, of_kind
from fedrisk.report import watch_alert_words as alert_words
from fedrisk.report.validation_words import chance, count, interval, percent
from fedrisk.report.warning_words import with_interval

Said = tuple[str, str]
"""A sentence, and how it stands out: alarm, doubt, or nothing."""

MOST_NAMED = 5


def verdicts(f: MonthFigures) -> list[Said]:
    """What a risk officer reads first."""
    return [*_alerts(f), *_drift(f), *_tested(f), *_warned(f), *_fought(f), *_unscored(f)]


def _alerts(f: MonthFigures) -> list[Said]:
    out: list[Said] = []
    if f.stock:
        out.append((alert_words.stock(len(f.stock)), "doubt"))
    if f.lately:
        text = either(
            "{count:,} new alert: a loan to look at.",
            "{count:,} new alerts: loans to look at.",
            len(f.lately),
        )
        out.append((text, "doubt"))
    if not out and f.standing:
        out.append((_("No new alert; {n:,} from before are open.", n=len(f.standing)), "first"))
    without = [] if f.signs is None else alert_words.not_looked_for(f.signs)
    return [*(out or [(_("No alert is open."), "first")]), *((said, "doubt") for said in without)]


def _drift(f: MonthFigures) -> list[Said]:
    out: list[Said] = []
    month = [name(d.name) for d in f.drifted if "month" in d.alarms]
    away = [name(d.name) for d in f.drifted if "development" in d.alarms]
    if month:
        out.append((_("Changed since the month before: {names}.", names=_named(month)), "alarm"))
    if away:
        out.append((_("Away from development: {names}.", names=_named(away)), "doubt"))
    if not out and f.month in f.drift:
        out.append((_("Scores and own columns raise no drift alarm."), ""))
    return out + [(said, "") for said in nameable(f.drift.get(f.month, ()))]


def nameable(found: Sequence[Drifted]) -> list[str]:
    """How large a change had to be to be named at these numbers of rows, so that no alarm is not read as no drift."""
    out = []
    month = [d.nameable["month"] for d in found if "month" in d.nameable]
    away = [d.nameable["development"] for d in found if "development" in d.nameable]
    said = {"share": percent(POWER, 0), "rows": count(max((d.rows for d in found), default=0))}
    if month:
        out.append(
            _(
                "With {rows} rows a change since the month before is named with a chance of at least {share} where its "
                "index is {index} or more, as where all values move by {deviations} of their standard deviation; of "
                "smaller ones this page may say nothing.",
                index=f"{max(month):.2f}",
                deviations=f"{sqrt(max(month)):.2f}",
                **said,
            )
        )
    if away:
        out.append(
            _(
                "With {rows} rows what lies away from development is named with a chance of about {share} where its "
                "index is {index} or more, as where all values lie {deviations} of their standard deviation away; the "
                "customary bounds are {stable} and {moved}.",
                index=f"{max(away):.2f}",
                deviations=f"{sqrt(max(away)):.2f}",
                stable=f"{STABLE:g}",
                moved=f"{MOVED:g}",
                **said,
            )
        )
    return out


def _tested(f: MonthFigures) -> list[Said]:
    found = f.back_test
    if found is None:
        return []
    month = found.cohort.month
    if not found.cohort.matured:
        return []
    if found.too_low:
        grades = listed(found.too_low)
        text = _(
            "Loans of {month}: more defaults than predicted in grade {grades}.", month=month, grades=grades
        )
        return [(text, "alarm")]
    if found.few:
        text = _(
            "Loans of {month}: {n:,} defaults are too few to say much.", month=month, n=found.cohort.defaults
        )
        return [(text, "")]
    return [(_("Loans of {month}: defaults by grade are as predicted.", month=month), "")]


def _warned(f: MonthFigures) -> list[Said]:
    found = f.warnings
    if found is None or found.against not in ("more", "fewer"):
        return []
    more = _("Loans of {month}: more false alarms than its study states.", month=found.month)
    fewer = _("Loans of {month}: fewer false alarms than its study states.", month=found.month)
    return [(more, "alarm") if found.against == "more" else (fewer, "doubt")]


def warned(found: Warned) -> list[str]:
    """What the warnings of a month came to, beside what the study states of the threshold."""
    said = {"month": found.month, "score": found.score, "without": found.without, "cases": found.cases}
    out = [
        _(
            "Loans scored in {month}: {without:,} are known to be without the outcome; of those {false} had been "
            "warned of (false alarms). {cases:,} have it; of those {right} had been. Warned of is a score of {score} "
            "or less.",
            false=with_interval(found.false_alarms),
            right=with_interval(found.recall),
            **said,
        )
    ]
    if found.point is not None:
        out.append(
            _(
                "The study states {false} and {right}, of all its banks' hold-outs in the month of its tables. Other "
                "loans, seasons and years have other rates.",
                false=with_interval(found.point.false_alarms),
                right=with_interval(found.point.recall),
            )
        )
    return out


def _fought(f: MonthFigures) -> list[Said]:
    return [] if f.contest is None else [(contest(f.contest), "")]


def _unscored(f: MonthFigures) -> list[Said]:
    n, rows = sum(f.unscored.counts.values()), f.risk.loans
    if not n:
        return []
    text = _("{n:,} of {rows:,} loans have no score, and raise no alert.", n=n, rows=rows)
    return [(text, "doubt" if n > rows / 20 else "")]


def _named(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMED:
        return listed(names)
    more = len(names) - MOST_NAMED
    return listed([*names[:MOST_NAMED], _("{n} more", n=more)])


def name(of: str) -> str:
    """A score or column."""
    return {"score": of_kind("watch", "score"), "grade": of_kind("watch", "grades")}.get(of, of)


def against(code: str) -> str:
    """What an index against development stands on."""
    return {
        "own_rows": of_kind("watch", "own training rows"),
        "released": of_kind("watch", "all banks' training rows (released)"),
        "first_month": of_kind("watch", "the first month that is kept"),
        "none": of_kind("watch", "nothing"),
    }.get(code, code)


def light(found: Stability | None) -> tuple[str, str]:
    """Traffic light of an index by its customary bounds: colour and words.

    Not clear where the index is above the first of them, and its interval is not: chance alone may be behind it.
    """
    if found is None:
        code = "few"
    elif found.index <= STABLE:
        code = "stable"
    else:
        code = "unclear" if found.low <= STABLE else "moved" if found.index > MOVED else "shifting"
    return {
        "stable": ("green", of_kind("watch", "stable")),
        "shifting": ("yellow", of_kind("watch", "shifting")),
        "moved": ("red", of_kind("watch", "moved")),
        "unclear": ("none", of_kind("watch", "not clear")),
        "few": ("none", of_kind("watch", "nothing to compare")),
    }[code]


def alarm(found: Drifted) -> str:
    """What a drift alarm says; a dash where there is none."""
    said = {
        "month": of_kind("watch", "changed this month"),
        "development": of_kind("watch", "away from development"),
    }
    return listed([said[a] for a in found.alarms]) if found.alarms else "–"


def tested(found: BackTest) -> list[str]:
    """What a back-test stands on, and what it says in the large."""
    c = found.cohort
    out = [
        _(
            "Loans scored in {month}: {known:,} of {loans:,} have an outcome, {defaults:,} defaulted and "
            "{expected:.1f} were expected.",
            month=c.month,
            known=c.known,
            loans=c.loans,
            defaults=c.defaults,
            expected=c.expected,
        )
    ]
    if not c.matured:
        out.append(
            _("Not matured: defaults become known before repayments, so these rates are still too high.")
        )
    if found.few:
        out.append(_("These are few defaults; intervals say how little they tell."))
    if found.large is not None:
        out.append(
            _(
                "All loans together: chance of so many or so few, if predictions are right, {p}.",
                p=chance(found.large.p),
            )
        )
    return out


def area(found: BackTest) -> str:
    """The AUC against development, both with their intervals."""
    now, before, level = found.cohort.auc, found.before, 1 - found.level
    if now is None:
        return _("AUC: too few defaults to say.")
    said = interval(now.value, *now.interval(level))
    if before is None:
        return _("AUC {now}; that of development is not known here.", now=said)
    then = interval(before.value, *before.interval(level))
    p = None if found.fall is None else found.fall.p
    return _(
        "AUC {now}; in development, on the bank's own hold-out, {before}. Chance that it falls so without cause: {p}.",
        now=said,
        before=then,
        p=chance(p),
    )


def contest(found: Contest) -> str:
    """Which of two models was better."""
    text = {
        "better": _("The challenger was better on loans of {month}.", month=found.month),
        "worse": _("The challenger was worse on loans of {month}.", month=found.month),
        "alike": _("Champion and challenger cannot be told apart on loans of {month}.", month=found.month),
    }
    return text[found.verdict]


def differences(found: Contest) -> str:
    """Both differences with their intervals."""
    return _(
        "{loans:,} loans, {defaults:,} defaults. Challenger less champion: AUC {auc}, log loss {loss} (below 0 is "
        "better). Intervals of 90%, of the same loans scored twice.",
        loans=found.loans,
        defaults=found.defaults,
        auc=_signed(found.auc.value, found.auc.low, found.auc.high),
        loss=_signed(found.log_loss.value, found.log_loss.low, found.log_loss.high),
    )


def _signed(value: float, low: float, high: float) -> str:
    return _("{value} ({low} to {high})", value=f"{value:+.4f}", low=f"{low:+.4f}", high=f"{high:+.4f}")


def missing_amounts(now: MonthRisk) -> str:
    """How many of the table's rows have no amount, or no share that is lost; empty where none is missing."""
    said = []
    if now.no_exposure:
        text = _(
            "{n} of {rows} rows without an amount count 0", n=count(now.no_exposure), rows=count(now.rows)
        )
        said.append(text)
    if now.no_share:
        text = _(
            "{n} of {rows} rows without a share lost count 0", n=count(now.no_share), rows=count(now.rows)
        )
        said.append(text)
    return listed(said)


def outcome(label: Mapping[str, str]) -> str:
    """What the model foretells, as the bank's dictionary says it; empty where it says nothing."""
    meaning = (label.get("meaning_zh") if language() == "zh" else "") or label.get("meaning", "")
    name = label.get("name", "")
    known = {
        "name": of_kind("watch", "default") if name == "default" else name,
        "horizon": label.get("horizon", ""),
    }
    if meaning:
        return _("It foretells {name}: {meaning} ({horizon}).", meaning=meaning, **known)
    return _("It foretells {name} ({horizon}).", **known) if known["horizon"] else ""


def index_least(found: Drifted) -> str:
    """Indices from which on an alarm is likely: since the month before, since development."""
    both = [found.nameable.get(which) for which in ("month", "development")]
    return " / ".join("–" if one is None else f"{one:.2f}" for one in both)
