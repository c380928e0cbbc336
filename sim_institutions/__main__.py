"""``python -m sim_institutions --seed 1 --out demo [--profile NAME] [--enterprises N] [--quarters N] [--research]``."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from sim_institutions.files import WORKERS, write
from sim_institutions.geography import draw_geography
from sim_institutions.institutions import offices
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import MONTHS
from sim_institutions.series import Series
from sim_institutions.shifts import ShiftError
from sim_institutions.shifts import asked as asked_shifts
from sim_institutions.shocks import ShockError, asked


def main(arguments: list[str] | None = None) -> None:
    """Write the files of a simulated province."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["advance"]:
        _advance(words[1:])
        return
    parser = argparse.ArgumentParser(prog="python -m sim_institutions", description=__doc__)
    parser.add_argument("--profile", choices=list(PROFILES), default="demo")
    parser.add_argument("--enterprises", type=int, help="default: the number of the profile")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes; the bytes stay the same")
    parser.add_argument(
        "--research",
        action="store_true",
        help="institutions whose policies allow research runs, which have no privacy",
    )
    parser.add_argument(
        "--quarters",
        type=int,
        metavar="N",
        help="write so many quarters of one population, for example 8, in folders q1 to q8",
    )
    parser.add_argument(
        "--months",
        type=int,
        metavar="N",
        help="write a population that moves on, for example for 24 months, in folders development and m01 to m24; "
        "`python -m sim_institutions advance DIR --months K` adds more",
    )
    parser.add_argument(
        "--shocks",
        help="planted shocks of a series: usual (two price collapses; the default of --quarters), none (the default of "
        "--months), a number to draw, or a TOML file; quarter 1 of months is m01 to m03",
    )
    parser.add_argument(
        "--shift",
        action="append",
        default=[],
        metavar="OWNER.COLUMN:MONTH:SIZE",
        help="a planted change of one column from a month of --months on, for example "
        "tax_office.invoice_amount:m07:0.5, by so many of its spreads; may be given several times",
    )
    parser.add_argument(
        "--history-months",
        type=int,
        default=MONTHS,
        metavar="N",
        help="months of the histories of --months, for example 32, which an index of 18 months needs",
    )
    parser.add_argument(
        "--no-histories", action="store_true", help="a series without monthly histories: smaller and faster"
    )
    given = parser.parse_args(words)
    profile = PROFILES[given.profile]
    enterprises = profile.enterprises if given.enterprises is None else given.enterprises
    if enterprises < profile.smallest:
        too_few = f"--enterprises {enterprises} is too few for profile {profile.name}"
        parser.error(f"{too_few}; give {profile.smallest} or more")
    if given.seed < 0:
        parser.error(f"--seed {given.seed} is negative; give 0 or more")
    if given.months is not None:
        _months(parser, given, enterprises)
        return
    if given.quarters is not None:
        _series(parser, given, enterprises)
        return
    rows = write(
        enterprises,
        given.seed,
        given.out,
        profile.name,
        workers=given.workers,
        research=given.research,
        say=_progress,
    )
    print(file=sys.stderr)
    print(f"{given.out}: {_counted(rows)}")


def _series(parser: argparse.ArgumentParser, given: argparse.Namespace, enterprises: int) -> None:
    """Write the quarters of one population."""
    from sim_institutions.quarters import MOST_QUARTERS, write_quarters

    if not 1 <= given.quarters <= MOST_QUARTERS:
        parser.error(f"--quarters {given.quarters}: give 1 to {MOST_QUARTERS}")
    try:
        shocks = asked(given.shocks or "usual", draw_geography(given.seed), given.quarters, given.seed)
        if late := [s for s in shocks if s.quarter > given.quarters]:
            raise ShockError(
                f"shock {late[0].name} begins after quarter {given.quarters}; give more --quarters"
            )
    except ShockError as error:
        parser.error(str(error))
    series = Series(given.profile, enterprises, given.seed, given.quarters, shocks, not given.no_histories)
    rows = write_quarters(series, given.out, workers=given.workers, research=given.research, say=_progress)
    print(file=sys.stderr)
    for quarter, of in enumerate(rows, start=1):
        print(f"{given.out / f'q{quarter}'}: {_counted(of)}")


def _months(parser: argparse.ArgumentParser, given: argparse.Namespace, enterprises: int) -> None:
    """Write a province that moves on."""
    from sim_institutions.month_files import write_moving
    from sim_institutions.months import MOST_HISTORY, MOST_MONTHS, Moving

    if given.quarters is not None:
        parser.error("--months and --quarters: give one of them")
    if not 1 <= given.months <= MOST_MONTHS:
        parser.error(f"--months {given.months}: give 1 to {MOST_MONTHS}")
    if not MONTHS <= given.history_months <= MOST_HISTORY:
        parser.error(f"--history-months {given.history_months}: give {MONTHS} to {MOST_HISTORY}")
    quarters = max(given.months // 3, 2)
    try:
        shocks = asked(given.shocks or "none", draw_geography(given.seed), quarters, given.seed)
        shifts = asked_shifts(given.shift, offices(PROFILES[given.profile]))
    except (ShockError, ShiftError) as error:
        parser.error(str(error))
    histories = not given.no_histories
    moving = Moving(
        given.profile, enterprises, given.seed, given.months, shocks, shifts, histories, given.history_months
    )
    rows = write_moving(moving, given.out, workers=given.workers, research=given.research, say=_progress)
    _say_months(given.out, rows)


def _advance(words: list[str]) -> None:
    """Write more months of a province that is there."""
    from sim_institutions.month_files import AdvanceError, advance

    parser = argparse.ArgumentParser(
        prog="python -m sim_institutions advance",
        description="Write further months of a province that --months has written, as if written at once.",
    )
    parser.add_argument("folder", type=Path, help="the province, for example demo")
    parser.add_argument(
        "--months", type=int, default=1, metavar="K", help="how many, for example 6; default 1"
    )
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes; the bytes stay the same")
    given = parser.parse_args(words)
    try:
        rows = advance(given.folder, given.months, workers=given.workers, say=_progress)
    except AdvanceError as error:
        parser.error(str(error))
    _say_months(given.folder, rows)


def _say_months(out: Path, rows: Mapping[int, Mapping[str, int]]) -> None:
    from sim_institutions.months import folder_of

    print(file=sys.stderr)
    for number, of in rows.items():
        print(f"{out / folder_of(number)}: {_counted(of)}")


def _counted(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,} rows" for name, n in rows.items())


def _progress(text: str) -> None:
    """On a terminal, overwrite one line; elsewhere, as in a log, print a line each time."""
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr)
    else:
        print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
