"""``python -m fedrisk.conformance``: runs the tests of all requirements, writes the sheet, says the verdict.

The exit code is 1 where a requirement that is claimed failed or did not run.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fedrisk.conformance.node_ids import source_tree
from fedrisk.conformance.outcomes import run_tests
from fedrisk.conformance.requirement import Catalogue, load_catalogue
from fedrisk.conformance.sheet import write_sheet
from fedrisk.errors import FedriskError
from fedrisk.report.conformance import verdict

WHOLE, PART = Path("build/conformance"), Path("build/conformance-part")
"""Folders of a whole sheet and of a part, so that a part takes no whole one's place."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the self-check; the exit code."""
    asked = _parser().parse_args(arguments)
    folder = asked.out or (PART if asked.only else WHOLE)
    try:
        whole = load_catalogue()
        catalogue = whole.only(asked.only) if asked.only else whole
        if asked.list:
            _list(catalogue)
            return 0
        root = source_tree()
        start = time.monotonic()
        results = run_tests(root, catalogue.tests, workers=asked.workers)
        left_out = len(whole.requirements) - len(catalogue.requirements)
        took = time.monotonic() - start
        sheet = write_sheet(catalogue, results, root, folder, seconds=took, left_out=left_out)
    except FedriskError as error:
        print(error, file=sys.stderr)
        return 2
    for part in sheet.parts:
        for line in part.lines:
            if line.result in ("failed", "not run"):
                print(f"{line.result}: {line.id}: {line.text}")
    print(verdict(sheet))
    print(folder / "sheet.html")
    return 0 if sheet.ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fedrisk.conformance", description=__doc__)
    parser.add_argument(
        "--out", type=Path, help=f"folder of the sheet; default: {WHOLE}, of a part of it {PART}"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="ID",
        help="these requirements alone, for example --only jrt-keys dp-bounds",
    )
    parser.add_argument("--list", action="store_true", help="show requirements and their tests, and run none")
    parser.add_argument("--workers", type=int, default=2, help="processes that run tests, for example 2")
    return parser


def _list(catalogue: Catalogue) -> None:
    for standard in catalogue.standards:
        print(f"{standard.name}: {standard.title.en}")
        for r in standard.requirement:
            clause = f", clause {r.clause}" if r.clause else ""
            print(f"\n{r.id}{clause}{'' if r.claimed else ', not claimed'}: {r.text.en}")
            for test in r.tests:
                print(f"    {test}")
        print()


if __name__ == "__main__":
    sys.exit(main())
