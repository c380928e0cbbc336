"""Results on the screen, with rich."""

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fedrisk.models.scorecard import Scorecard
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
        own = own_models(m)
        for column in ("bank", "hold-out", "AUC", "KS", "Brier", *own.values()):
            banks.add_column(column, justify="left" if column == "bank" else "right")
        for name, b in m["by_bank"].items():
            figures = [number(b.get(k)) for k in ("auc", "ks", "brier", *own)]
            banks.add_row(name, f"{b['holdout']:,}", *figures)
        parts.append(banks)
    parts.append(_spends(m))
    if m.get("disclosures"):
        parts.append(_disclosures(m))
    if m.get("training"):
        parts.append(_training(m["training"]))
    if m.get("beside"):
        parts.append(_beside(m))
    if results.card is not None:
        parts.append(_features(results.card))
    return Group(*parts)


def own_models(m: dict[str, Any]) -> dict[str, str]:
    """Figures of models that banks fit for themselves, by key of ``by_bank``, with their headings."""
    if m.get("recipe") == "neural":
        return {"alone_auc": "alone", "personal_auc": "personal"}
    return {"alone_auc": "alone", "champion_auc": "champion", "personal_auc": "personal"}


def grouped(spends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Spends with all steps of a training as one line: prices add up as squares.

    >>> step = {"institution": "a", "population": "training", "research": False, "mu": 3.0}
    >>> [s["release"] for s in grouped([{**step, "release": "step_0"}, {**step, "release": "step_1"}])]
    ['training, 2 steps']
    """
    out: list[dict[str, Any]] = []
    steps: dict[str, list[dict[str, Any]]] = {}
    for spend in spends:
        if not spend["release"].startswith("step_"):
            out.append(spend)
            continue
        if spend["institution"] not in steps:
            out.append(spend)
        steps.setdefault(spend["institution"], []).append(spend)
    for place, spend in enumerate(out):
        if spend["release"].startswith("step_"):
            own = steps[spend["institution"]]
            prices = [float(s["mu"]) if s["mu"] is not None else math.inf for s in own]
            out[place] = {**spend, "release": f"training, {len(own)} steps", "mu": math.hypot(*prices)}
    return out


def training_rows(t: dict[str, Any]) -> list[tuple[str, str]]:
    """What is to be said of a training, as pairs of name and text."""
    mode = "noise shared by all trainers" if t["mode"] == "shared_noise" else "each trainer's own noise"
    mode = "one trainer, its own noise" if t["trainers"] == 1 else mode
    rate = f"{t['rate']:.3g}, {t['optimiser']}"
    if t["optimiser"] == "adam":
        rate = f"adam, a weight moves by about {t['adam_step']:g} in a step at most"
    rows = [
        ("model", f"{t['kind']}, {t['parameters']:,} parameters"),
        ("mode", f"{mode}; {t['steps']} steps, {t['sums']} noisy sums a trainer"),
        ("one enterprise", f"adds at most {t['clip']:g} to a sum (L2)"),
        (
            "noise in a sum",
            "none" if not t["noise"] else f"standard deviation {t['noise']:.3g} in each number",
        ),
        ("learning rate", rate),
    ]
    if t["lost"]:
        gone = ", ".join(f"{name} from step {step + 1}" for name, step in t["lost"].items())
        rows.append(("lost on the way", gone))
    return rows


def _beside(m: dict[str, Any]) -> RenderableType:
    table = Table(title="beside it, on the same rows and at the same epsilon", title_justify="left")
    for column in ("model", "AUC", "+-", "KS", "Brier", "exchanges"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in beside_rows(m):
        table.add_row(*row)
    return table


def beside_rows(m: dict[str, Any]) -> list[tuple[str, ...]]:
    """Model, AUC, its error, KS, Brier score, exchanges: of the network first, then of what ran beside it."""
    rows: list[tuple[str, ...]] = []
    for b in [{**m, "model": f"this network ({m['training']['kind']})"}, *m["beside"]]:
        if "failed" in b:
            rows.append((f"{b['model']}: {b['failed']}", *("–",) * 5))
            continue
        figures = (number(b[k]) for k in ("auc", "auc_standard_error", "ks", "brier"))
        name = b["model"] if b.get("same_rows", True) else f"{b['model']} (on other rows)"
        rows.append((name, *figures, str(b["exchanges"])))
    return rows


def _training(t: dict[str, Any]) -> RenderableType:
    table = Table(title="training", title_justify="left", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    for name, text in training_rows(t):
        table.add_row(name, text)
    return table


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
    for s in grouped(m["spends"]):
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


def _features(card: Scorecard) -> RenderableType:
    table = Table(title="features by weight in the score", title_justify="left")
    for column in ("feature", "bins", "points from", "to"):
        table.add_column(column, justify="left" if column == "feature" else "right")
    spread = sorted(range(len(card.bins)), key=lambda j: -(max(card.points[j]) - min(card.points[j])))
    for j in spread[:12]:
        points = card.points[j]
        table.add_row(card.bins[j].feature.name, str(card.bins[j].size), str(min(points)), str(max(points)))
    return table
