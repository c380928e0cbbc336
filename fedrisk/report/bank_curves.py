"""Curves of a bank's report: how well models rank its customers, and whether probabilities came true."""

from fedrisk.analysis.own_figures import OwnFigures
from fedrisk.language import _, of_kind
from fedrisk.report import plots as draw
from fedrisk.report.figure_style import Plot
from fedrisk.report.words import word

BESIDE = 3
"""Most models whose curves are drawn beside the chosen one's."""

Figures = list[tuple[str, Plot]]
"""Pictures with their captions."""


def plots(found: OwnFigures) -> Figures:
    """ROC, KS, gains, lift and the distribution of scores; none where the hold-out has too few labels."""
    one = found.model(found.chosen)
    if one is None:
        return []
    # Recalibration leaves the order as it is: its curve would lie on the card's.
    others = [m for m in found.models if m.name not in (found.chosen, "recalibrated")]
    others = sorted(others, key=lambda m: m.name != found.own)[:BESIDE]
    name = word("model", found.chosen)
    names = [word("model", m.name) for m in others]
    out = [
        (
            of_kind("bank", "ROC"),
            draw.roc(one.roc, others=_pairs(names, [m.roc for m in others]), label=name),
        ),
        (of_kind("bank", "KS: {model}", model=name), draw.ks(one.ks)),
        (
            of_kind("bank", "Gains"),
            draw.gains(one.gains, others=_pairs(names, [m.gains for m in others]), label=name),
        ),
        (
            of_kind("bank", "Lift"),
            draw.lift(one.gains, others=_pairs(names, [m.gains for m in others]), label=name),
        ),
    ]
    if found.distribution is not None:
        out.append((_("Scores of defaults and of others"), draw.score_distribution(found.distribution)))
    return out


def calibrations(found: OwnFigures) -> Figures:
    """Observed against predicted, as the model is and recalibrated on this bank's training customers."""
    out = []
    if found.before is not None:
        out.append(
            (_("As it is: {model}", model=word("model", found.chosen)), draw.calibration(found.before))
        )
    if found.after is not None:
        caption = _("Recalibrated on this bank's training customers")
        out.append((caption, draw.calibration(found.after)))
    return out


def _pairs(names: list[str], found: list) -> list:  # type: ignore[type-arg]
    return list(zip(names, found, strict=True))
