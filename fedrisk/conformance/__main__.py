"""``python -m fedrisk.conformance --out DIR``: runs the tests of all requirements, writes the sheet, says the verdict.

The exit code is 1 where a requirement that is claimed failed or did not run.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fedrisk.conformance.node_ids import source_tree
from fedrisk.conformance.outcomes import run_tests
from fedrisk.conformance.requirement import load_catalogue
from fedrisk.conformance.sheet import write_sheet
from fedrisk.errors import FedriskError
from fedrisk.report.conformance import verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the self-check; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fedrisk.conformance", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/conformance"), help="folder of the sheet")
    parser.add_argument("--workers", type=int, default=2, help="processes that run tests, for example 2")
    asked = parser.parse_args(arguments)
    try:
        root, catalogue = source_tree(), load_catalogue()
        start = time.monotonic()
        results = run_tests(root, catalogue.tests, workers=asked.workers)
        sheet = write_sheet(catalogue, results, root, asked.out, seconds=time.monotonic() - start)
    except FedriskError as error:
        print(error, file=sys.stderr)
        return 2
    for part in sheet.parts:
        for line in part.lines:
            if line.result in ("failed", "not run"):
                print(f"{line.result}: {line.id}: {line.text}")
    print(verdict(sheet))
    print(asked.out / "sheet.html")
    return 0 if sheet.ok else 1


if __name__ == "__main__":
    sys.exit(main())
