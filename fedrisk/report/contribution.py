"""Contributions for people: a page (contribution.html), a table (contribution.csv) and everything as JSON.

A value that is mostly noise is in none of them as a figure.
"""

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedrisk.analysis.card_value import MEASURES
from fedrisk.analysis.contribution import KNOWN, Contributions, Player, Worth
from fedrisk.analysis.data_quality import Share
from fedrisk.analysis.reward import Reward, Rewards
from fedrisk.files import write_atomic
from fedrisk.language import N_, _
from fedrisk.report.losses import yuan
from fedrisk.report.page import render_page
from fedrisk.study import NO_PRIVACY
from fedrisk.study_members import BANK

PAGE, TABLE, PLAIN = "contribution.html", "contribution.csv", "contribution.json"
_WHY = {
    "unreliable": N_("too little for its error"),
    "floor": N_("at the floor"),
    "cap": N_("at the cap"),
}


def minus(text: str) -> str:
    """A figure with a true minus."""
    return text.replace("-", "−")


def per_cent(worth: Worth) -> str:
    """A value in per cent, or a dash where it is mostly noise."""
    return minus(f"{worth.value:.2%}") if worth.says else "–"


def auc(whole: Worth) -> str:
    """The AUC of all together, or a dash."""
    return f"{0.5 + whole.value:.3f}" if whole.says else "–"


def interval(worth: Worth) -> str:
    """Its interval in per cent; of one that is mostly noise the upper end alone."""
    low, high = minus(f"{worth.low:.2%}"), f"{worth.high:.2%}"
    return _("{low} to {high}", low=low, high=high) if worth.says else _("at most {high}", high=high)


def share_of(worth: Worth) -> str:
    """Its share of the whole, or a dash."""
    return f"{worth.share:.1%}" if worth.says else "–"


def lacking(share: Share) -> str:
    """A share of 1 in per cent with its error; where what lacks is less than its noise, that it is at least so much."""
    if share.says:
        return f"{share.value:.2%} ± {share.reach:.2%}"
    return _("at least {low}", low=f"{share.low:.2%}") if share.noise else f"{share.value:.2%}"


def title(institution: str, names: Mapping[str, str]) -> str:
    """What people read in place of a role."""
    return _("the banks") if institution == BANK else names.get(institution, institution)


def why(reward: Reward) -> str:
    """Why a share is not that of the weights."""
    return _(_WHY[reward.why]) if reward.why else ""


def write_contribution(
    found: Contributions, divided: Rewards | None, folder: Path, names: Mapping[str, str]
) -> list[Path]:
    """Write page, table and JSON into a folder; StoreError where the disk does not take them."""
    files = {
        PAGE: render(found, divided, names),
        TABLE: table(found),
        PLAIN: json.dumps(plain(found, divided), indent=1, ensure_ascii=False, allow_nan=False),
    }
    for name, text in files.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in files]


def plain(found: Contributions, divided: Rewards | None) -> dict[str, Any]:
    """Everything for programs."""
    return {
        "study": found.study,
        "research": found.research,
        "exact": found.exact,
        "second_moments": found.gram,
        "whole": {m: _plain_worth(w) for m, w in found.whole.items()},
        "institutions": [
            {
                **_plain_player(p),
                "alone": {m: _plain_worth(w) for m, w in (p.alone or {}).items()},
                "lost_without": {m: _plain_worth(w) for m, w in (p.last or {}).items()},
                "quality": _plain_quality(found, p.institution),
            }
            for p in found.institutions
        ],
        "columns": [{"column": p.column, **_plain_player(p)} for p in found.columns],
        "reward": None if divided is None else _plain_rewards(divided),
    }


def _plain_player(player: Player) -> dict[str, Any]:
    worth = {m: _plain_worth(w) for m, w in player.worth.items()}
    return {"institution": player.institution, "worth": worth}


def _plain_worth(worth: Worth) -> dict[str, Any]:
    shown = vars(worth) if worth.says else dict.fromkeys(vars(worth)) | {"high": worth.high}
    return {**shown, "says": worth.says}


def _plain_quality(found: Contributions, institution: str) -> dict[str, Any]:
    quality = found.quality[institution]
    return {
        "coverage": None if quality.coverage is None else _plain_share(quality.coverage),
        "completeness": _plain_share(quality.completeness),
        "columns": {name: _plain_share(s) for name, s in quality.columns.items()},
    }


def _plain_share(share: Share) -> dict[str, Any]:
    says = share.says or not share.noise
    return {"value": share.value if says else None, "low": share.low, "high": share.high if says else 1.0}


def _plain_rewards(divided: Rewards) -> dict[str, Any]:
    return {
        "rules": divided.rules.name,
        "amount": f"{divided.rules.fen / 100:.2f}",
        "left": f"{divided.left / 100:.2f}",
        "institutions": [{**vars(r), "yuan": f"{r.fen // 100}.{r.fen % 100:02d}"} for r in divided.rewards],
    }


def table(found: Contributions) -> str:
    """Institutions and columns by measure, as CSV; figures that are mostly noise are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ("value", "low", "high", "error", "noise", "sampling", "share", "share_low", "share_high")
    writer.writerow(["institution", "column", "measure", *names])
    for player in (*found.institutions, *found.columns):
        for measure in MEASURES:
            worth = player.worth[measure]
            figures = [f"{getattr(worth, n):.6g}" if worth.says or n == "high" else "" for n in names]
            writer.writerow([player.institution, player.column or "", measure, *figures])
    return out.getvalue()


def render(found: Contributions, divided: Rewards | None, names: Mapping[str, str]) -> str:
    """The page."""
    ordered = sorted(found.institutions, key=_order)
    filters: dict[str, Any] = {
        "per_cent": per_cent,
        "interval": interval,
        "share": share_of,
        "yuan": yuan,
        "why": why,
        "lacking": lacking,
        "auc": auc,
        "minus": minus,
    }
    return render_page(
        "contribution.html.jinja",
        filters=filters,
        title=lambda name: title(name, names),
        notice=NO_PRIVACY if found.research else None,
        c=found,
        institutions=[(p, {m: _bar(p.worth[m], found.institutions, m) for m in MEASURES}) for p in ordered],
        columns=[(p, _columns(found, p)) for p in ordered],
        divided=divided,
        known=KNOWN,
        bank=BANK,
    )


def _order(player: Player) -> float:
    """The most valuable first; those that say less than their noise last, in an order that tells nothing of them."""
    worth = player.worth["deviance"]
    return -worth.value if worth.says else math.inf


def _columns(found: Contributions, institution: Player) -> list[tuple[Player, dict[str, float]]]:
    own = [p for p in found.columns if p.institution == institution.institution]
    own.sort(key=_order)
    return [(p, _bar(p.worth["deviance"], found.columns, "deviance")) for p in own]


def _bar(worth: Worth, among: tuple[Player, ...], measure: str) -> dict[str, float]:
    """Width of a bar, and left end and width of its interval, in per cent of a box."""
    top = max(max(p.worth[measure].high for p in among), 1e-9)
    low, high = (100 * min(max(v, 0.0), top) / top for v in (worth.low if worth.says else 0.0, worth.high))
    return {
        "value": round(100 * max(worth.value, 0.0) / top if worth.says else 0.0, 2),
        "low": round(low, 2),
        "wide": round(high - low, 2),
    }
