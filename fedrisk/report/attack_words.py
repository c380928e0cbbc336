"""Words for what attacks left: targets, parties, figures, controls and verdicts (fedrisk/attacks)."""

import math
from collections.abc import Sequence

from fedrisk.attacks.attack import Measured
from fedrisk.attacks.playing import Played
from fedrisk.language import _, either, listed
from fedrisk.report.words import word


def said_target(figure: Measured) -> str:
    """What was attacked, whose record or secret it is, and the control that was set, in words."""
    said = listed(word("attack_target", part) for part in figure.target.split("/"))
    if figure.party:
        said = _("{target}: {party}", target=said, party=word("attack_party", figure.party))
    return said


def short_target(figure: Measured) -> str:
    """What was attacked, in few words: without the first code where there are several."""
    codes = figure.target.split("/")
    return listed(word("attack_target", code) for code in (codes[1:] or codes))


def control_words(figure: Measured) -> str:
    """Which protection was switched off; empty where none was."""
    return word("attack_control", figure.control) if figure.control else ""


def number(value: float | None) -> str:
    """A figure to three digits, a dash for none.

    >>> number(0.12345), number(None), number(float("inf"))
    ('0.123', '–', '∞')
    """
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.3g}".replace("-", "−")


def interval(figure: Measured) -> str:
    """Estimate's interval, or that the figure is exact."""
    if figure.low == figure.high:
        return _("exact")
    return _("{low} to {high}", low=number(figure.low), high=number(figure.high))


def broken_from(figure: Measured) -> str:
    """The least value that would have counted as broken; empty for controls and where none would have."""
    least = figure.broken_from
    if figure.control or least is None:
        return ""
    said = number(least)
    return (
        _("broken above {least}", least=said)
        if least == figure.bound
        else _("broken from {least}", least=said)
    )


def figure_words(figure: Measured) -> str:
    """A figure with what it is held against, on one line."""
    said = _(
        "{figure} {value} ({interval})",
        figure=word("attack_figure", figure.figure),
        value=number(figure.value),
        interval=interval(figure),
    )
    if figure.claimed is not None:
        said += _(", claimed {claimed}", claimed=number(figure.claimed))
    if figure.chance is not None:
        said += _(", by chance {chance}", chance=number(figure.chance))
    return said


def verdict_words(code: str) -> str:
    """A verdict or an outcome in words."""
    return word("attack_verdict", code.replace(" ", "_"))


def sureness(figures: Sequence[Measured]) -> str:
    """The chance in percent with which each interval holds, at least, as many nines as it has; empty without any.

    >>> from fedrisk.attacks.attack import Measured
    >>> about = {"attack": "a", "target": "t", "figure": "auc", "trials": 9, "method": "m"}
    >>> sureness([Measured(value=0.5, low=0.4, high=0.6, confidence=0.99995, **about)])
    '99.995'
    """
    least = min((f.confidence for f in figures if f.low != f.high), default=None)
    # Downwards, as it is a promise.
    return "" if least is None else f"{math.floor(1e6 * least + 1e-6) / 1e4:g}"


def outcome_words(played: Played) -> str:
    """One attack in a line."""
    controls = [f for f in played.figures if f.control]
    plain = len(played.figures) - len(controls)
    unjudged = sum(f.verdict == "not judged" for f in played.figures)
    figures = either("{count} figure", "{count} figures", plain)
    if unjudged:
        figures += _(" ({count} not judged)", count=unjudged)
    said = _(
        "{name}: {outcome}; {figures}, {controls}, {seconds:.0f} s",
        name=played.attack.name,
        outcome=verdict_words(played.outcome),
        figures=figures,
        controls=either("{count} control", "{count} controls", len(controls)),
        seconds=played.seconds,
    )
    return said + (_("; stopped by {failed}", failed=played.failed) if played.failed else "")
