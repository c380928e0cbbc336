"""The model card as a page and as a file: facts of model_card.py, in words and plots."""

import json
from pathlib import Path
from typing import Any

from fedrisk.analysis.fairness import Fairness, Group, GroupColumn, fairness
from fedrisk.files import write_atomic
from fedrisk.language import _, listed
from fedrisk.models.edited_card import EditedCard
from fedrisk.report import plots
from fedrisk.report.display import for_people
from fedrisk.report.fairness_words import (
    figure,
    four_fifths_words,
    group_name,
    percent,
    sure_differences,
)
from fedrisk.report.label_words import about_its_label
from fedrisk.report.model_card import card_facts
from fedrisk.report.page import render_page, write_page
from fedrisk.report.plain_privacy import guess_words
from fedrisk.report.plots import Bar, Plot
from fedrisk.report.quality import quality_of
from fedrisk.report.words import word
from fedrisk.server.results import Results

HTML, JSON = "model_card.html", "model_card.json"

MOST_BARS = 24
"""Groups of a column in one plot."""


def write_card(results: Results, folder: Path, edited: EditedCard | None = None) -> list[Path]:
    """Write model_card.html and model_card.json into a folder; errors as of `card_facts`, StoreError."""
    facts = card_facts(results, edited)
    page = write_page(folder / HTML, card_page(results, facts), private=False)
    file = folder / JSON
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(file, (text + "\n").encode(), private=False)
    return [page, file]


@about_its_label
def card_page(results: Results, facts: dict[str, Any] | None = None) -> str:
    """The page, in the language that is spoken."""
    facts = facts or card_facts(results)
    record = results.record
    found = None if record is None else fairness(record)
    shown = for_people(results)
    names = results.display_names
    return render_page(
        "model_card.html.jinja",
        filters={"percent": percent, "figure": figure},
        notice=results.notice,
        m=shown,
        f=facts,
        quality=quality_of(results),
        columns=_columns(facts, names),
        member_rows=[
            (word("role", role), listed(members)) for role, members in facts["populations"]["members"].items()
        ],
        windows=_window_rows(facts["windows"], facts["populations"]),
        edits=[] if facts["edits"] is None else [_edit_row(e) for e in facts["edits"]["history"]],
        seen=[_seen_row(line) for line in facts["who_saw_what"]],
        releases=[] if facts["privacy"] is None else _release_rows(facts["privacy"]["releases"]),
        guess="" if facts["privacy"] is None else guess_words(facts["privacy"]["mu"]),
        price=[] if facts["privacy"] is None else _price_rows(facts["privacy"]),
        fair=None if found is None else _fair(found),
        group_columns=(
            [
                _("group"),
                _("enterprises"),
                _("observed default rate"),
                _("predicted"),
                _("observed over predicted"),
                "AUC",
            ]
        ),
        approval_columns=[] if found is None else _approval_columns(found),
        versions=_version_rows(facts["versions"]),
    )


def _edit_row(edit: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Number and what was changed, when, by whom, why, and what it is expected to change."""
    changes = "; ".join(f"{key}: {_plain(value)}" for key, value in edit["changes"].items())
    auc = edit["auc"]
    cost = f"{auc['change']:+.4f} ({auc['low']:+.4f}–{auc['high']:+.4f})" if auc else ""
    return f"{edit['number']}. {changes}", edit["time"][:10], edit["author"], edit["reason"], cost


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return listed(value) if isinstance(value, list | tuple) else str(value)


def _columns(facts: dict[str, Any], names: dict[str, str]) -> list[tuple[str, int]]:
    """Owners of columns with how many the model uses of each."""
    return [
        (names.get(owner, word("role", "bank") if owner == "bank" else owner), count)
        for owner, count in facts["model"]["columns"].items()
    ]


def _price_rows(privacy: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(what is hidden, mu, epsilon)."""
    mu = privacy["mu"]
    rows = [
        (
            _("all that one institution's rows say of an enterprise (zeros in their place)"),
            mu,
            privacy["zeroed"],
        ),
        (
            _("whether an enterprise defaulted (its label flipped)"),
            privacy["label_mu"],
            privacy["label_flipped"],
        ),
        (_("which enterprise it was (another one's rows in their place)"), 2 * mu, privacy["replaced"]),
    ]
    if privacy["institutions"] > 1:
        text = _(
            "all that {count} institutions say of an enterprise at once, as many as may know it",
            count=privacy["institutions"],
        )
        rows.append((text, privacy["everywhere_mu"], privacy["everywhere"]))
    rows += [
        (_("the first, over {count} studies of this price", count=r["studies"]), r["mu"], r["epsilon"])
        for r in privacy["repeated"]
    ]
    return [(text, f"{price:.4f}", f"{epsilon:.2f}") for text, price, epsilon in rows]


def _window_rows(windows: dict[str, Any], populations: dict[str, Any]) -> list[tuple[str, str]]:
    """What the model was made from: when, what counts as default, who was held out."""
    rows: list[tuple[str, Any]] = [
        (_("label"), windows.get("label")),
        (_("the label means") if windows.get("label") else _("default means"), "; ".join(windows["horizon"])),
        (_("features observed from"), windows.get("observation_start")),
        (_("features observed to"), windows.get("as_of")),
        (_("outcome known to"), windows.get("outcome_end")),
        (_("enterprises in training"), f"≈ {populations['training']:,}"),
        (_("enterprises held out"), f"≈ {populations['holdout']:,}"),
        (
            _("without a label, scored only"),
            f"≈ {populations['unlabelled']:,}" if populations["unlabelled"] else None,
        ),
        (_("hold-out"), _holdout(populations)),
        (_("share of enterprises that take part, drawn at random"), _share(populations["included"])),
        (_("default rate in training, released"), _share(populations["default_rate"], "{:.2%}")),
        (_("labels weighted by the banks"), _("yes") if populations["weighted"] else None),
        (_("data of holders count as missing after"), _days(windows.get("fresh_days"))),
    ]
    stated = [(what, str(value)) for what, value in rows if value]
    if not windows.get("as_of"):
        stated.insert(1, (_("time of the data"), _("the study states no dates; see the banks' tables")))
    return stated


def _holdout(populations: dict[str, Any]) -> str:
    if populations["holdout_kind"] == "out_of_time":
        return _("the newest enterprises, by date")
    return _(
        "{percent}% of enterprises, by keyed hash, the same in every study",
        percent=populations["holdout_percent"],
    )


def _share(value: float | None, form: str = "{:.0%}") -> str | None:
    return None if value is None else form.format(value)


def _days(count: int | None) -> str | None:
    return None if count is None else _("{count} days", count=count)


def _release_rows(releases: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [
        (
            word("release", r["release"]),
            word("population", r["population"]),
            f"{r['mu']:.4f}",
            str(r["institutions"]),
        )
        for r in releases
    ]


def _seen_row(line: dict[str, Any]) -> tuple[str, str, str, str, str]:
    giver, taker = (_("hub") if side == "hub" else word("role", side) for side in (line["from"], line["to"]))
    price = f"{line['mu']:.4f}" if line["mu"] else ""
    return giver, taker, word("kind", line["kind"]), word("protection", line["protection"]), price


def _version_rows(versions: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("fedrisk", f"{versions['fedrisk']} (Python {versions['python']})"),
        (_("study, SHA-256"), versions["study_sha256"]),
        (_("release record, SHA-256"), versions["record_sha256"]),
        (f"{versions['model_file']}, SHA-256", versions["model_sha256"]),
        (_("key of the hub (Ed25519)"), versions["hub_key"]),
        *((_("key of {name}", name=name), key) for name, key in versions["member_keys"].items()),
    ]


def _fair(found: Fairness) -> dict[str, Any]:
    """Everything that the page says of groups."""
    return {
        "cuts": [percent(cut) for cut in found.cut_offs],
        "columns": [_fair_column(column, found) for column in found.columns],
        "sure": sure_differences(found),
        "tests": len(found.differences),
        "withheld": found.withheld,
        "mu": f"{found.mu:.4f}",
        "exact": found.research,
    }


def _fair_column(column: GroupColumn, found: Fairness) -> dict[str, Any]:
    told = [g for g in column.groups if g.says]
    silent = [group_name(g.level) for g in column.groups if not g.says]
    return {
        "name": column.name,
        "rows": [_group_row(g) for g in [*told, found.together]],
        "approvals": [_approval_row(g) for g in told if any(a.rate for a in g.approvals)],
        "silent": listed(silent),
        "plots": _fair_plots(column, found) if len(told) > 1 else [],
        "noise": f"{column.deviation:.1f}",
    }


def _approval_columns(found: Fairness) -> list[str]:
    """Headings of the table of approvals."""
    cuts = [
        text
        for cut in found.cut_offs
        for text in (
            _("approved at {cut}", cut=percent(cut)),
            _("ratio to the highest, at {cut}", cut=percent(cut)),
        )
    ]
    return [_("group"), *cuts]


def _group_row(group: Group) -> list[str]:
    """Size and defaults: figures with intervals, or a dash where they say less than their noise."""
    return [
        group_name(group.level) if group.level else _("all together"),
        figure(group.size, "{:,.0f}"),
        figure(group.observed, "{:.2%}"),
        figure(group.predicted, "{:.2%}"),
        figure(group.calibration, "{:.2f}"),
        figure(group.auc, "{:.3f}"),
    ]


def _approval_row(group: Group) -> list[str]:
    """Approval rates with their ratios."""
    cells = [cell for a in group.approvals for cell in (figure(a.rate, "{:.1%}"), four_fifths_words(a))]
    return [group_name(group.level), *cells]


def _fair_plots(column: GroupColumn, found: Fairness) -> list[tuple[Plot, str]]:
    """Approval rates at the last cut-off, and calibration, of the largest groups."""
    told = sorted(
        (g for g in column.groups if g.says and g.size), key=lambda g: -(g.size.value if g.size else 0)
    )
    told = told[:MOST_BARS]
    out = []
    cut = found.cut_offs[-1]
    rates = [
        Bar(label=group_name(g.level), value=100 * r.value, low=100 * r.low, high=100 * r.high)
        for g in told
        if (r := g.approvals[-1].rate) is not None
    ]
    if len(rates) > 1:
        caption = _("Approval rate at a cut-off of {cut}, by {column}", cut=percent(cut), column=column.name)
        out.append((plots.bars(rates, alt=caption, axis=_("approval rate (%)"), dots=True), caption))
    ratios = [
        Bar(label=group_name(g.level), value=c.value, low=c.low, high=c.high)
        for g in told
        if (c := g.calibration) is not None
    ]
    if len(ratios) > 1:
        caption = _("Observed over predicted default rate, by {column}", column=column.name)
        marks = [(1.0, _("as predicted"))]
        out.append((plots.bars(ratios, alt=caption, axis=_("ratio"), marks=marks, dots=True), caption))
    return out
