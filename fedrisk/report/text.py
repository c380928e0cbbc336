"""Results on the screen, with rich."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fedrisk.server.results import Results


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none.

    >>> number(None), number(0.76543)
    ('–', '0.765')
    """
    return "–" if value is None else f"{value:.{digits}f}"


def summary(results: Results) -> RenderableType:
    """The main figures of a study."""
    m = results.metrics
    parts: list[RenderableType] = []
    if m["notice"]:
        parts.append(Text(f" {m['notice']} ", style="bold white on red"))
    head = Table(title=f"study {m['study']}", title_justify="left", show_header=False, box=None)
    head.add_column(style="dim")
    head.add_column()
    rows = m["rows"]
    head.add_row(
        "enterprises",
        f"{sum(rows['training'].values()):,} training, {sum(rows['holdout'].values()):,} hold-out",
    )
    head.add_row("AUC, KS, Gini, Brier", "  ".join(number(m[k]) for k in ("auc", "ks", "gini", "brier")))
    head.add_row("standard error of AUC", number(m["auc_standard_error"], 4))
    head.add_row("privacy", privacy_words(m))
    head.add_row("time", f"{m['seconds']} s, {m['exchanges']} exchanges, {m['peak_mb']:.0f} MB at most")
    head.add_row("sent to the hub", ", ".join(f"{n} {b / 1e6:.1f} MB" for n, b in m["bytes_sent"].items()))
    parts.append(head)
    if m["by_bank"]:
        banks = Table(title="by bank", title_justify="left")
        for column in ("bank", "hold-out", "AUC", "KS", "Brier", "alone", "champion"):
            banks.add_column(column, justify="left" if column == "bank" else "right")
        for name, b in m["by_bank"].items():
            figures = [number(b[k]) for k in ("auc", "ks", "brier", "alone_auc", "champion_auc")]
            banks.add_row(name, f"{b['holdout']:,}", *figures)
        parts.append(banks)
    parts.append(_spends(m))
    if m.get("disclosures"):
        parts.append(_disclosures(m))
    parts.append(_features(results))
    return Group(*parts)


def privacy_words(m: dict[str, Any]) -> str:
    """The guarantee in one line; a research run says that it has none.

    >>> privacy_words({"research": True})
    'none (research run)'
    """
    if m["research"]:
        return "none (research run)"
    r = m["readings"]
    return (
        f"epsilon {m['epsilon']:g} at delta {m['delta']:g} per enterprise and institution "
        f"(mu {m['mu']:.3f}; label flipped {r['label_flipped']:.2f}, replaced {r['replaced']:.2f})"
    )


def _spends(m: dict[str, Any]) -> RenderableType:
    table = Table(title="what the releases cost each institution (mu)", title_justify="left")
    for column in ("institution", "release", "of", "mu"):
        table.add_column(column, justify="right" if column == "mu" else "left")
    for s in m["spends"]:
        price = "no privacy" if s["research"] else f"{s['mu']:.4f}"
        table.add_row(s["institution"], s["release"], s["population"], price)
    return table


def _disclosures(m: dict[str, Any]) -> RenderableType:
    """Who saw what, from the audit trails of the run."""
    table = Table(title="who saw what, from the audit trails", title_justify="left", box=None, pad_edge=False)
    for column in ("from", "to", "what", "mu", "kB"):
        table.add_column(column, justify="right" if column in ("mu", "kB") else "left")
    for d in m["disclosures"]:
        price = "–" if d["mu"] == 0 else ("no privacy" if d["mu"] is None else f"{d['mu']:.4f}")
        table.add_row(d["institution"], d["counterparty"], d["kind"], price, f"{d['bytes'] / 1000:,.0f}")
    found = m.get("disagreements") or []
    words = "; ".join(found) if found else "what each says it sent, the other says it received"
    return Group(table, Text(f"trails compared: {words}", style="bold red" if found else "dim"))


def _features(results: Results) -> RenderableType:
    table = Table(title="features by weight in the score", title_justify="left")
    for column in ("feature", "bins", "points from", "to"):
        table.add_column(column, justify="left" if column == "feature" else "right")
    card = results.card
    spread = sorted(range(len(card.bins)), key=lambda j: -(max(card.points[j]) - min(card.points[j])))
    for j in spread[:12]:
        points = card.points[j]
        table.add_row(card.bins[j].feature.name, str(card.bins[j].size), str(min(points)), str(max(points)))
    return table
