"""What ``fedrisk card`` shows: a card with its bins, and what its edits changed and cost."""

from collections.abc import Mapping
from typing import Any

from fedrisk.cli.output import plain_table, tell, tell_table
from fedrisk.language import _, of_kind
from fedrisk.models.card_edit import CardEdit
from fedrisk.models.edited_card import EditedCard, EditEntry
from fedrisk.models.scorecard import Scorecard
from fedrisk.report.bin_words import bin_words

SHORT = 12
"""Letters of a digest that are shown."""


def card_figures(card: Scorecard) -> dict[str, Any]:
    """A card as plain figures."""
    return {
        "study": card.study,
        "rate": card.rate,
        "long_run_rate": card.long_run,
        "scale": vars(card.scale),
        "base_points": card.base_points,
        "mean_probability": card.mean_probability(),
        "features": [
            {
                "feature": b.feature.name,
                "bins": [
                    {"bin": k + 1, "label": label, "points": points, "error": None if e is None else e[k]}
                    for k, (label, points) in enumerate(zip(b.labels(), card.points[j], strict=True))
                ],
            }
            for j, b in enumerate(card.bins)
            for e in (card.errors_of(j),)
        ],
    }


def show_card(card: Scorecard) -> None:
    """Its scale and rate, and the points of each bin."""
    tell(_("card of study {study}", study=card.study), "bold")
    if card.notice:
        tell(card.notice, "bold white on red")
    scale = card.scale
    tell(
        _(
            "{score:.0f} points stand for odds of repaying of {odds:g} to 1; {double:g} points double them",
            score=scale.score,
            odds=scale.odds,
            double=scale.double,
        )
    )
    tell(_("released rate {rate:.2%}, base points {base}", rate=card.rate, base=card.base_points))
    if card.long_run is not None:
        tell(_("the probabilities expect {rate:.2%} in the long run, set by an edit", rate=card.long_run))
    head = (
        of_kind("card edit", "feature"),
        of_kind("card edit", "no."),
        of_kind("card edit", "bin"),
        of_kind("card edit", "points"),
        "±",
    )
    table = plain_table("", *head, right=(head[1], head[3], "±"), whole=(head[3], "±"))
    for j, b in enumerate(card.bins):
        errors = card.errors_of(j)
        for k, (label, points) in enumerate(zip(map(bin_words, b.labels()), card.points[j], strict=True)):
            error = "" if errors is None else f"{errors[k]:.1f}"
            table.add_row(b.feature.name if k == 0 else "", str(k + 1), label, str(points), error)
    tell_table(table)


def show_history(card: EditedCard) -> None:
    """All edits, and whether the digests fit."""
    for entry in card.history:
        tell("")
        _head(entry)
        tell(_("card {before} became {after}", before=entry.before[:SHORT], after=entry.after[:SHORT]))
        _auc(entry.costs)
    wrong = card.broken()
    tell("")
    if not card.history:
        tell(_("nothing of it was edited, so that no digest says which card it is"))
        return
    tell(
        _(
            "what edits cost is shown as it was said then; fedrisk card verify works it out again from the record"
        )
    )
    if not wrong:
        tell(_("all digests fit"))
    for line in wrong:
        tell(line, "red")


def show_edit(entry: EditEntry) -> None:
    """One edit, and what it changed and cost."""
    _head(entry)
    _auc(entry.costs)
    costs = entry.costs
    before, after = costs["mean_probability"]
    tell(_("mean probability {before:.2%} before, {after:.2%} after", before=before, after=after))
    before, after = costs["spread"]
    tell(_("spread of the log-odds {before:.3f} before, {after:.3f} after", before=before, after=after))
    for name, (one, other) in costs["information"].items():
        if other is None:
            tell(_("{feature}: information value {one:.3f}, gone with it", feature=name, one=one))
        else:
            tell(
                _(
                    "{feature}: information value {one:.3f} before, {other:.3f} after",
                    feature=name,
                    one=one,
                    other=other,
                )
            )
    if costs["points"]:
        _moved(costs["points"])
    tell("")


def _head(entry: EditEntry) -> None:
    tell(
        _(
            "edit {number}, {time}, by {author}",
            number=entry.number,
            time=entry.time,
            author=entry.edit.author,
        ),
        "bold",
    )
    for line in said_of(entry.edit):
        tell(f"  {line}")
    tell(f"  {_('reason: {reason}', reason=entry.edit.reason)}")


def said_of(edit: CardEdit) -> list[str]:
    """What an edit does, a line each."""
    out = [_("merge bins {bins}", bins=text) for text in edit.merge]
    out += [_shape(name, way, steps=True) for name, way in edit.monotone.items()]
    out += [_shape(name, way, steps=False) for name, way in edit.sign.items()]
    out += [_("drop {feature}", feature=name) for name in edit.drop]
    if edit.points_to_double is not None:
        out.append(_("{points:g} points double the odds", points=edit.points_to_double))
    if edit.base_score is not None:
        out.append(_("base score {score:g}", score=edit.base_score))
    if edit.base_odds is not None:
        out.append(_("base odds {odds:g} to 1", odds=edit.base_odds))
    if edit.long_run_rate is not None:
        out.append(_("long-run rate {rate:.2%}", rate=edit.long_run_rate))
    return out


def _shape(feature: str, way: str, *, steps: bool) -> str:
    if steps and way == "rising":
        return _("risk of {feature} rises in every step", feature=feature)
    if steps:
        return _("risk of {feature} falls in every step", feature=feature)
    if way == "rising":
        return _("risk of {feature} rises on the whole", feature=feature)
    return _("risk of {feature} falls on the whole", feature=feature)


def _auc(costs: Mapping[str, Any]) -> None:
    if not costs:
        return
    auc, held = costs["auc"], costs["holdout"]
    if auc["change"] == auc["low"] == auc["high"] == 0:
        tell(_("AUC: the same; no rank changes but by rounding"))
        return
    tell(
        _(
            "AUC: expected to change by {change:+.4f} (95%: {low:+.4f} to {high:+.4f}), by the released sums",
            change=auc["change"],
            low=auc["low"],
            high=auc["high"],
        )
    )
    if held is not None:
        tell(
            _(
                "the released card had {auc:.3f} ± {error:.3f} on the hold-out; the edited one was not measured",
                auc=held["auc"],
                error=held["error"],
            )
        )


def _moved(points: list[dict[str, Any]]) -> None:
    head = (
        of_kind("card edit", "feature"),
        of_kind("card edit", "bin"),
        of_kind("card edit", "before"),
        of_kind("card edit", "after"),
    )
    title = _("bins whose points changed most, by 20 points that double the odds")
    table = plain_table(title, *head, right=head[2:], whole=head[2:])
    for row in points:
        after = "–" if row["after"] is None else f"{row['after']:.0f}"
        table.add_row(row["feature"], row["bin"], f"{row['before']:.0f}", after)
    tell_table(table)
