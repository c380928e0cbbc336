"""``python -m sim_institutions --enterprises 125000 --seed 1 --out demo``."""

import argparse
from pathlib import Path

from sim_institutions.files import write

DEFAULT_ENTERPRISES = 125_000  # the bank's training rows then hold more than 3,000 defaults


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m sim_institutions", description=__doc__)
    parser.add_argument("--enterprises", type=int, default=DEFAULT_ENTERPRISES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    given = parser.parse_args(arguments)
    if given.enterprises < 1000:
        parser.error(f"--enterprises {given.enterprises} is too few for any study; give 1000 or more")
    rows = write(given.enterprises, given.seed, given.out)
    print(f"{given.out}: " + ", ".join(f"{name} {n:,} rows" for name, n in rows.items()))


if __name__ == "__main__":
    main()
