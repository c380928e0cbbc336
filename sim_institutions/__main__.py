"""``python -m sim_institutions --seed 1 --out demo [--profile NAME] [--enterprises N] [--research]``."""

import argparse
import sys
from pathlib import Path

from sim_institutions.files import WORKERS, write
from sim_institutions.profiles import PROFILES


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
    given = parser.parse_args(arguments)
    profile = PROFILES[given.profile]
    enterprises = profile.enterprises if given.enterprises is None else given.enterprises
    if enterprises < profile.smallest:
        too_few = f"--enterprises {enterprises} is too few for profile {profile.name}"
        parser.error(f"{too_few}; give {profile.smallest} or more")
    if given.seed < 0:
        parser.error(f"--seed {given.seed} is negative; give 0 or more")
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
    print(f"{given.out}: " + ", ".join(f"{name} {n:,} rows" for name, n in rows.items()))


def _progress(text: str) -> None:
    """On a terminal, overwrite one line; elsewhere, as in a log, print a line each time."""
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr)
    else:
        print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
