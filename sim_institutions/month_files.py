"""Writes a province that moves on, and goes on with one: institutions' files, studies, months, the truth."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim_institutions.files import WORKERS, small_delta, study, write_institutions
from sim_institutions.geometry import write_counties
from sim_institutions.index_columns import STRAINED_SHARE, left_out
from sim_institutions.institutions import offices
from sim_institutions.monthly import monthly
from sim_institutions.months import FOLDER, MOST_MONTHS, Moving, calendar, folder_of, write_months
from sim_institutions.profiles import PROFILES
from sim_institutions.shifts import Shift
from sim_institutions.shocks import Shock
from sim_institutions.statistics_files import loss_study, write_rules
from sim_institutions.toml_text import pairs
from sim_institutions.views.banks import ACTIVE, STRAINED_LABEL

TRUTH, CALENDAR = "truth.json", "months.json"
# A version a month for two years, and each institution's ledger counts all of them.
POLICY = {"cap_epsilon": 12.0, "scored_versions": 60}
# Default, warning and index serve at once, beside a challenger. Loans that run are scored without a consent, as their
# contracts may allow; applicants need one, of a register that is to be pinned. Numbers are for months that follow each
# other within a day.
SERVING = {
    "models": 4,
    "purposes": ["credit_scoring", "portfolio_monitoring"],
    "monitoring": 100_000_000,
    "monitoring_consent": "none",
    "per_enterprise": 1000,
    "index_months": 18,
}
WATCH = {
    "active": ACTIVE,
    "purpose": "portfolio_monitoring",
    "probability": 0.2,
    "exposure": "exposure",
    "loss_given_default": "loss_given_default",
}
# Rate of false alarms of warnings, and the share of active loans that are in distress.
FALSE_ALARMS, DISTRESSED_SHARE = 0.052, 0.039
Rows = dict[int, dict[str, int]]


class AdvanceError(ValueError):
    """Why a province cannot go on."""


def write_moving(
    moving: Moving,
    out: Path,
    *,
    workers: int = WORKERS,
    research: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Rows:
    """Write everything into ``out``; rows of each institution in each month, 0 the development month."""
    rows = write_months(moving, out, workers, say)
    months = moving.history_months if moving.histories else 0
    write_institutions(
        PROFILES[moving.profile],
        out,
        tables="../${MONTH}",
        research=research,
        policy=POLICY,
        serving=SERVING,
        changed=lambda office: monthly(office, months),
    )
    for bank in PROFILES[moving.profile].banks:
        with (out / "institutions" / f"{bank.name}.toml").open("a", encoding="utf-8") as file:
            file.write("\n[watch]\n" + pairs(WATCH))
    _write_studies(moving, rows[0], out)
    write_counties(out / "counties.geojson")
    write_rules(moving.enterprises, out)
    _write_calendar(moving, out)
    return rows


def advance(
    out: Path, months: int, *, workers: int = WORKERS, say: Callable[[str], None] = lambda _: None
) -> Rows:
    """Write ``months`` more months of the province in ``out``, as if they had been written at once with the others."""
    before = read_moving(out)
    moving = Moving(**{**vars(before), "months": before.months + months})
    if not months >= 1 or moving.months > MOST_MONTHS:
        raise AdvanceError(
            f"{out} has {before.months} months; {months} more: give 1 to {MOST_MONTHS - before.months}"
        )
    rows = write_months(moving, out, workers, say, first=before.months + 1)
    _write_calendar(moving, out)
    return rows


def read_moving(out: Path) -> Moving:
    """What a folder says of itself; AdvanceError where it is no province that moves on."""
    path = out / TRUTH
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Moving(
            said["profile"],
            said["enterprises"],
            said["seed"],
            len(said["months"]),
            tuple(_shock(one) for one in said["shocks"]),
            tuple(Shift(**one) for one in said["shifts"]),
            said["histories"],
            said["history_months"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{path} cannot be read as that of a province that moves on ({error})"
        raise AdvanceError(f"{what}; give a folder that --months has written") from None


def _shock(said: dict[str, Any]) -> Shock:
    return Shock(**{**said, "sectors": tuple(said["sectors"])})


def _write_calendar(moving: Moving, out: Path) -> None:
    """months.json, and truth.json, which is written last: a folder without it is not finished."""
    months = {folder_of(number): calendar(number) for number in range(1, moving.months + 1)}
    said = {
        "profile": moving.profile,
        "enterprises": moving.enterprises,
        "seed": moving.seed,
        "histories": moving.histories,
        "history_months": moving.history_months,
        "development": calendar(0),
        "months": months,
        "shocks": [shock.to_dict() for shock in moving.shocks],
        "shifts": [vars(shift) for shift in moving.shifts],
    }
    _write(out / CALENDAR, json.dumps({FOLDER: calendar(0), **months}, indent=1) + "\n")
    _write(out / TRUTH, json.dumps(said, ensure_ascii=False, indent=1) + "\n")


def _write_studies(moving: Moving, rows: dict[str, int], out: Path) -> None:
    """Studies of the development month: default, warnings, the health index, and losses."""
    profile, largest = PROFILES[moving.profile], max(rows.values())
    plan = (profile, moving.enterprises, largest)
    others = "[scorecard]\n" + pairs({"left_out": _left_out(moving, index=False)})
    _write(out / "study.toml", study(*plan, more=[others]))
    warning = "[warning]\n" + pairs({"false_alarms": FALSE_ALARMS})
    name = f"{profile.name}_warning"
    more = [others, warning]
    _write(out / "warning.toml", study(*plan, name, label="distress", rate=DISTRESSED_SHARE, more=more))
    index = "[scorecard]\n" + pairs({"index": "all", "left_out": _left_out(moving, index=True)})
    name, label = f"{profile.name}_health", STRAINED_LABEL
    _write(out / "health.toml", study(*plan, name, label=label, rate=STRAINED_SHARE, more=[index]))
    _write(out / "losses.toml", loss_study(profile, small_delta(largest)))


def _left_out(moving: Moving, *, index: bool) -> dict[str, str]:
    """Columns of holders that a study does not count."""
    months = moving.history_months if moving.histories else 0
    found: dict[str, str] = {}
    for office in offices(PROFILES[moving.profile]):
        if office.bank is None:
            changed = monthly(office, months)
            own = [one["name"] for one in (*changed.features, *changed.further)]
            found |= left_out(office.name, own, index=index)
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
