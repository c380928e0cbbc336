"""``python -m sim_institutions --seed 1 --out demo [--profile NAME] [--enterprises N] [--quarters N] [--research]``."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from sim_institutions.files import WORKERS, write
from sim_institutions.geography import draw_geography
from sim_institutions.profiles import PROFILES
from sim_institutions.series import Series
from sim_institutions.shocks import ShockError, asked


def main(arguments: list[str] | None = None) -> None:
    """Write the files of a simulated province."""
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
        "--shocks",
        default="usual",
        help="planted shocks of a series: usual (two price collapses), none, a number to draw, or a TOML file",
    )
    parser.add_argument(
        "--no-histories", action="store_true", help="a series without monthly histories: smaller and faster"
    )
    given = parser.parse_args(arguments)
    profile = PROFILES[given.profile]
    enterprises = profile.enterprises if given.enterprises is None else given.enterprises
    if enterprises < profile.smallest:
        too_few = f"--enterprises {enterprises} is too few for profile {profile.name}"
        parser.error(f"{too_few}; give {profile.smallest} or more")
    if given.seed < 0:
        parser.error(f"--seed {given.seed} is negative; give 0 or more")
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
        shocks = asked(given.shocks, draw_geography(given.seed), given.quarters, given.seed)
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
