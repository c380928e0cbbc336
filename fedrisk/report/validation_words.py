"""What the page of a validation says of its checks: names, results, rules, and why something was not assessed."""

from collections.abc import Mapping
from typing import Any

from fedrisk.analysis.stability import Stability
from fedrisk.analysis.validation.check import Check
from fedrisk.analysis.validation.pack import Pack
from fedrisk.language import _, listed, of_kind

BLIND = 4.0
"""Times as many defaults as expected that a sample must be able to show, or it is said to show nothing."""


def percent(value: float | None, digits: int = 2) -> str:
    """A share as per cent; a dash where there is none.

    >>> percent(0.0577), percent(None), percent(0.00004)
    ('5.77%', '–', '<0.01%')
    """
    if value is None or value != value:
        return "–"
    least = 10.0 ** -(digits + 2)
    return f"<{least:.{digits}%}" if 0 < value < least / 2 else f"{value:.{digits}%}"


def chance(value: float | None) -> str:
    """A p-value; none is said to be 0.

    >>> chance(0.0423), chance(1e-9), chance(None)
    ('0.042', '<0.0001', '–')
    """
    if value is None or value != value:
        return "–"
    return "<0.0001" if value < 1e-4 else f"{value:.4f}" if value < 0.001 else f"{value:.3f}"


def count(value: float | None) -> str:
    """A number of customers; noisy ones rounded, those below zero as 0.

    >>> count(1234.4), count(-3.0), count(None)
    ('1,234', '0', '–')
    """
    return "–" if value is None or value != value else f"{max(value, 0):,.0f}"


def stability_index(found: Stability | None) -> str:
    """A stability index with its interval; a dash where there is none."""
    return "–" if found is None else interval(found.index, found.low, found.high)


def light_words(light: str) -> str:
    """What a light means."""
    return {
        "green": of_kind("validation", "no objection"),
        "yellow": of_kind("validation", "look at it"),
        "red": of_kind("validation", "objection"),
        "none": of_kind("validation", "not assessed"),
    }[light]


def columns() -> tuple[str, str, str, str]:
    """Headings of a short table of checks: check, light, result, p."""
    check, light = of_kind("validation", "check"), of_kind("validation", "light")
    return check, light, of_kind("validation", "result"), of_kind("validation", "p")


def group_words(group: str) -> str:
    """Heading of a group of checks."""
    return {
        "calibration": of_kind("validation", "Calibration"),
        "discrimination": of_kind("validation", "Discrimination"),
        "stability": of_kind("validation", "Stability"),
        "concentration": of_kind("validation", "Concentration"),
        "overrides": of_kind("validation", "Overrides"),
        "representativeness": of_kind("validation", "Representativeness"),
        "low_default": of_kind("validation", "Grades with few defaults"),
        "conservatism": of_kind("validation", "Margin of conservatism"),
    }[group]


def name(code: str) -> str:
    """What a check is about, as a noun, so that it stands in a list of what is to be looked at."""
    return {
        "grades_under": _("Probabilities of grades, too low"),
        "grades_over": _("Probabilities of grades, too high"),
        "portfolio": _("Probability of the portfolio, too low"),
        "in_the_large": _("Defaults in the large"),
        "hosmer_lemeshow": _("Hosmer-Lemeshow test over grades"),
        "spiegelhalter": _("Spiegelhalter test"),
        "line": _("Level and slope together (Cox)"),
        "slope": _("Slope of the log-odds"),
        "auc": _("Level of the AUC"),
        "auc_fell": _("Fall of the AUC since development"),
        "ks_fell": _("Fall of the KS since development"),
        "psi": _("Shift of score and grades (PSI)"),
        "csi": _("Shift of the bank's columns (CSI)"),
        "periods": _("Rates over several periods (normal test)"),
        "concentration": _("Concentration in few grades"),
        "overrides": _("Overrides by people"),
        "all_banks": _("Difference from all banks' customers"),
        "low_default": _("Upper bounds of grades with few defaults"),
        "margin": _("Margins against what was observed"),
    }[code]


def basis_words(check: Check) -> str:
    """What a check stands on."""
    return {
        "rows": of_kind("validation", "exact rows"),
        "released": of_kind("validation", "released counts"),
        "rows_and_released": _("exact rows, and released numbers"),
        "card": _("figures of the card"),
        "file": _("the bank's file"),
        "nothing": "–",
    }[check.basis]


def noise_words(check: Check) -> str:
    """How noise was taken into account."""
    return {
        "none": _("no noise in it"),
        "variance": _("the noise's variance is in that of the statistic"),
        "convolved": _("the binomial is convolved with the noise"),
        "taken_off": _("what noise adds on average is taken off"),
        "inside": _("noise is in the interval or margin"),
    }[check.correction]


def rule_words(check: Check) -> str:
    """The rule that set the light, or why there is none."""
    level = check.level or 0.05
    v = check.values
    shown = {"level": f"{level:g}", "fifth": f"{level / 5:g}"}
    if check.rule in REASONS:
        return reason(check.rule)
    if check.rule in ("by_p", "either_way", "grades_holm", "grades_over"):
        return _calibration_rule(check.rule, shown)
    return {
        "least_auc": lambda: _(
            "Red where the whole interval lies below {least}, yellow where a part of it does.",
            least=f"{v['least']:g}",
        ),
        "fell": lambda: _(
            "Yellow where the one-sided test of a fall is at or below {level}; red where it is at or below {fifth} and "
            "the fall is above {limit}.",
            **shown,
            limit=f"{v['limit']:g}",
        ),
        "index": lambda: _(
            "An index counts where its test, adjusted for all that are compared, is at or below {level}: yellow from "
            "{stable} on, red from {bound} on.",
            level=shown["level"],
            stable=f"{v['stable']:g}",
            bound=f"{v['bound']:g}",
        ),
        "concentration": lambda: _(
            "Yellow where one grade holds more than {limit} of all customers, or concentration grew; red where both.",
            limit=percent(v["limit"], 0),
        ),
        "overrides": lambda: _(
            "Yellow where more than {limit} of the grades were changed.", limit=percent(v["limit"], 0)
        ),
        "low_default": lambda: _(
            "Yellow where a grade with fewer than 20 defaults and the riskier ones that its bound takes in have a mean "
            "probability, with margins, below the upper bound at {confidence}.",
            confidence=percent(v["confidence"], 0),
        ),
        "margin": lambda: _(
            "Red where a grade's observed rate lies, with its whole interval, above its probability with the margin."
        ),
    }[check.rule]()


def _calibration_rule(rule: str, shown: Mapping[str, str]) -> str:
    return {
        "by_p": lambda: _("Yellow at or below {level}, red at or below {fifth}.", **shown),
        "either_way": lambda: _(
            "Yellow at or below {level}; red at or below {fifth} only where the tests of grades or portfolio show that "
            "probabilities are too low, since this test does not say which way.",
            **shown,
        ),
        "grades_holm": lambda: _(
            "Yellow where a grade's test, adjusted for the number of grades (Holm), is at or below {level}, red where "
            "it is at or below {fifth}.",
            **shown,
        ),
        "grades_over": lambda: _(
            "Yellow where a grade has so few defaults that its test, adjusted for the number of grades, is at or below "
            "{level}; never red, since that is prudent.",
            level=shown["level"],
        ),
    }[rule]()


REASONS = ("too_few", "no_development", "no_rows", "no_columns", "no_periods", "not_recorded")
"""Rules that say why something was not assessed."""


def reason(rule: str) -> str:
    """Why a check was not assessed."""
    return {
        "too_few": _("Too few customers or defaults, or too much noise, to say anything."),
        "no_development": _("There are no counts of the development sample with which to compare."),
        "no_rows": _(
            "Needs the rows of a bank: development and hold-out were released over different score bins. Each bank "
            "has it in its own pack; fedrisk drift compares two studies."
        ),
        "no_columns": _(
            "No column of the bank has both samples: the table could not be read, or this model is not the card."
        ),
        "no_periods": _(
            "Needs dates in the bank's table (dictionary: as_of) over at least three periods with five defaults each."
        ),
        "not_recorded": _(
            "Not recorded: fedrisk keeps no decisions of people. Give a CSV file with the columns id and grade, the "
            "grade after a person's look: --overrides FILE."
        ),
    }[rule]


def result(check: Check) -> str:
    """What came out, in one line; empty where nothing did."""
    v = check.values
    if check.rule in REASONS:
        return ""
    if check.code in ("grades_under", "grades_over"):
        if not v["named"]:
            return _("none of {count} grades", count=v["grades"])
        return _("grades {named}", named=listed(v["named"]))
    if check.code in ("portfolio", "in_the_large"):
        return _(
            "{defaults} defaults, {expected} expected",
            defaults=count(check.defaults),
            expected=count(v["expected"]),
        )
    found = {
        "slope": lambda: (
            _("slope {slope} ± {error}", slope=f"{v['slope']:.2f}", error=f"{v['error']:.2f}") if v else ""
        ),
        "auc": lambda: interval(v["auc"], v["low"], v["high"]),
        "auc_fell": lambda: _(
            "{before} in development, {now} now", before=f"{v['before']:.3f}", now=f"{v['now']:.3f}"
        ),
        "ks_fell": lambda: _(
            "{before} in development, {now} now", before=f"{v['before']:.3f}", now=f"{v['now']:.3f}"
        ),
        "concentration": lambda: _(
            "index {index}; largest grade {grade} with {share}",
            index=f"{v['index']:.3f}",
            grade=v["largest"],
            share=percent(v["share"], 1),
        ),
        "overrides": lambda: _(
            "{rate} changed: {better} to safer, {worse} to riskier grades",
            rate=percent(v["rate"], 1),
            better=count(v["better"]),
            worse=count(v["worse"]),
        ),
    }
    return found[check.code]() if check.code in found else _further(check)


def _further(check: Check) -> str:
    v = check.values
    if check.code == "hosmer_lemeshow":
        return of_kind("validation", "{count} groups", count=check.degrees)
    if check.code in ("psi", "csi", "all_banks"):
        return _("largest index {index}: {name}", index=f"{v['index']:.3f}", name=shift_name(v["worst"]))
    if check.code == "low_default":
        return _few(v)
    if check.code == "margin":
        return _("above it: {named}", named=listed(v["above"])) if v["above"] else _("in all grades")
    return ""


def _few(v: Mapping[str, Any]) -> str:
    if not v["few"]:
        return _("no grade has fewer than 20 defaults")
    if v["below"]:
        return _("below the bound: {named}", named=listed(v["below"]))
    return _("few defaults in {named}; none below the bound", named=listed(v["few"]))


def statistic(check: Check) -> str:
    """The statistic with its distribution.

    >>> from fedrisk.analysis.validation.check import Check
    >>> one = {"code": "line", "group": "calibration", "light": "green", "rule": "by_p", "basis": "rows"}
    >>> statistic(Check(**one, statistic=2.5, degrees=2))
    'χ² 2.50 (2)'
    """
    if check.statistic is None:
        return ""
    if check.code == "periods":
        return f"t {check.statistic:.2f} ({check.degrees})"
    return f"χ² {check.statistic:.2f} ({check.degrees})" if check.degrees else f"z {check.statistic:.2f}"


def shift_name(code: str) -> str:
    """What score and grades are called; columns keep their names."""
    return {"score": of_kind("validation", "score"), "grades": of_kind("validation", "grades")}.get(
        code, code
    )


def interval(value: float, low: float, high: float) -> str:
    """A figure with its interval.

    >>> interval(.8, .78, .82)
    '0.800 (0.780 to 0.820)'
    """
    return of_kind(
        "validation", "{value} ({low} to {high})", value=f"{value:.3f}", low=f"{low:.3f}", high=f"{high:.3f}"
    )


def verdict(pack: Pack) -> str:
    """The whole validation in one sentence."""
    red, yellow = (listed([name(c.code) for c in pack.checks if c.light == k]) for k in ("red", "yellow"))
    if red:
        return _("There are objections: {named}", named=red)
    if yellow:
        return _("No objections; to be looked at: {named}", named=yellow)
    by_code = {c.code: c for c in pack.checks}
    found = by_code["portfolio"].values.get("found")
    if by_code["auc"].light == "none" and (found is None or found > BLIND):
        return _("The model could not be assessed: too few customers or defaults, or too much noise.")
    return _("No test objects to the model.")


def power_words(pack: Pack) -> str:
    """What the sample could show at all, in one sentence; empty where probabilities are too low anyway."""
    portfolio = next(c for c in pack.checks if c.code == "portfolio")
    found = portfolio.values.get("found")
    if portfolio.light == "red":
        return ""
    if found is None:
        return _("No defaults are expected, so that no test of calibration can find anything.")
    return _(
        "What this sample can show: the portfolio's test finds, in four of five cases, that {times} times as many "
        "customers default as expected. Smaller errors may pass.",
        times=f"{found:.2f}",
    )


def level_words(pack: Pack) -> str:
    """Whether probabilities are too high or too low on the whole, in one sentence; empty where neither is shown."""
    by_code: Mapping[str, Any] = {c.code: c for c in pack.checks}
    large = by_code["in_the_large"]
    if pack.line is None or large.p is None or large.p > pack.rules.level:
        return ""
    shown = {"predicted": percent(pack.line.predicted), "observed": percent(pack.line.observed)}
    if large.statistic < 0:
        return _(
            "The model expects more defaults than came: {predicted} against {observed}. That is prudent, and dear for "
            "customers; a bank can use its recalibrated probabilities (--model recalibrated).",
            **shown,
        )
    return _("The model expects fewer defaults than came: {predicted} against {observed}.", **shown)
