"""Axes and measures of a statistics release, from the public columns that institutions state."""

from collections.abc import Mapping
from typing import Any

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.recipes.statistics.settings import LARGEST, LevelRule, MeasureRule
from fedrisk.releases.statistics import UNKNOWN, Axis, Measure


def level_of(name: str, rule: LevelRule, axis: Axis) -> Axis:
    """A coarser axis; ConfigError where its groups are not all the axis's categories, each once."""
    own = axis.categories[:-1]
    # In the order of the finer axis: a message does not keep the order of names in a file.
    order = {c: place for place, c in enumerate(own)}
    names = sorted(rule.groups, key=lambda n: min((order.get(c, -1) for c in rule.groups[n]), default=-1))
    groups = {c: place for place, group in enumerate(names) for c in rule.groups[group]}
    unknown = sorted(set(groups) - set(own))
    if unknown:
        raise ConfigError(f"levels.{name}: {unknown[0]} is no category of {axis.name}; correct the group")
    missing = [c for c in own if c not in groups]
    if missing:
        raise ConfigError(
            f"levels.{name}: {missing[0]} of {axis.name} is in no group, and {len(missing) - 1} more; every category "
            "needs one"
        )
    if UNKNOWN in rule.groups:
        raise ConfigError(f"levels.{name}: a group is called {UNKNOWN}, which is a category of its own")
    return Axis(
        name=name,
        column=axis.column,
        categories=(*names, UNKNOWN),
        groups=(*(groups[c] for c in own), len(names)),
    )


def measure_of(rule: MeasureRule, columns: Mapping[str, Feature], share: float) -> Measure:
    """A measure with its public bounds; ConfigError where its column has none, or is of another kind."""
    if rule.column is None:
        return Measure(name=rule.title, kind="count", share=share)
    feature = columns[rule.column]
    made = Measure(
        name=rule.title,
        kind=rule.kind,
        column=rule.column,
        unit=feature.unit,
        share=share,
        flag=feature.kind == "flag",
        special=tuple(code for code, _ in feature.special),
    )
    if rule.kind == "share":
        return _share(made, rule, feature)
    if feature.kind == "category":
        raise ConfigError(
            f'measure {rule.title}: {rule.column} is a category, which has no {rule.kind}; use kind = "share", or '
            "count by it"
        )
    if rule.kind == "quantiles":
        return _quantiles(made, rule, feature)
    low, high = _bounds(rule, feature)
    if low is None or high is None:
        raise ConfigError(
            f"measure {rule.title}: {rule.column} has no public bounds; state low and high in the dictionary, or in "
            "the measure"
        )
    return _with(made, low=low, high=high)


def _share(made: Measure, rule: MeasureRule, feature: Feature) -> Measure:
    if feature.kind == "flag":
        if rule.values:
            raise ConfigError(
                f"measure {made.name}: {made.column} is a flag, whose ones are counted; remove values"
            )
        return made
    if feature.kind != "category":
        raise ConfigError(
            f"measure {made.name}: a share is of categories or of a flag, and {made.column} is a number; use mean, or "
            "quantiles"
        )
    unlisted = [v for v in rule.values if v not in (feature.bins or ())]
    if unlisted or not rule.values:
        what = f"{unlisted[0]} is none of them" if unlisted else "values lists none"
        raise ConfigError(f"measure {made.name}: a share is of categories of {made.column}, and {what}")
    return _with(made, values=tuple(dict.fromkeys(rule.values)))


def _quantiles(made: Measure, rule: MeasureRule, feature: Feature) -> Measure:
    if feature.kind == "flag":
        raise ConfigError(
            f"measure {made.name}: {made.column} is a flag, whose mean says all; use mean or share"
        )
    cuts = tuple(rule.bins) or tuple(float(b) for b in feature.bins or ())
    if not cuts:
        raise ConfigError(
            f"measure {made.name}: {made.column} has no public bins; state bins in the dictionary, or in the measure"
        )
    low, high = _bounds(rule, feature)
    outside = [c for c in cuts if (low is not None and c <= low) or (high is not None and c >= high)]
    if outside:
        raise ConfigError(
            f"measure {made.name}: edge {outside[0]:g} is not within the public bounds of {made.column}; remove it"
        )
    return _with(made, cuts=cuts, low=low, high=high)


def _bounds(rule: MeasureRule, feature: Feature) -> tuple[float | None, float | None]:
    """Bounds of the study where it states any, within those of the dictionary."""
    own = (0.0, 1.0) if feature.kind == "flag" else (feature.low, feature.high)
    low = own[0] if rule.low is None else rule.low
    high = own[1] if rule.high is None else rule.high
    wide = (own[0] is not None and low is not None and low < own[0]) or (
        own[1] is not None and high is not None and high > own[1]
    )
    if wide:
        raise ConfigError(
            f"measure {rule.title}: its bounds are wider than the public bounds of {rule.column}, {own[0]:g} to "
            f"{own[1]:g}; state narrower ones, or none"
        )
    if low is not None and high is not None and not low < high:
        raise ConfigError(
            f"measure {rule.title}: low = {low:g} must be below high = {high:g}; change the bounds"
        )
    if any(bound is not None and abs(bound) > LARGEST for bound in (low, high)):
        raise ConfigError(
            f"measure {rule.title}: bounds of {rule.column} are beyond all quantities; state others"
        )
    return (None if low is None else float(low)), (None if high is None else float(high))


def _with(made: Measure, **parts: Any) -> Measure:
    return Measure(**{**vars(made), **parts})
