"""Few defaults at epsilon .5: is a card that noise made worthless published as such?

FEDRISK_DATA=... OMP_NUM_THREADS=1 python benchmarks/gain/thin.py
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "calibration"), str(HERE.parent.parent)]

from types import SimpleNamespace  # noqa: E402

from emulation import Portfolio, emulate  # noqa: E402
from lab import released  # noqa: E402
from portfolios import at_epsilon, thinned  # noqa: E402
from run import evidence  # noqa: E402
from settings import Setting, load  # noqa: E402

from fedrisk.recipes.scorecard import verdict  # noqa: E402
from fedrisk.recipes.scorecard.plan import make_plan  # noqa: E402
from fedrisk.study_members import BANK  # noqa: E402

DRAWS = 24


def main() -> None:
    """Verdicts by the AUC that the card has on the exact hold-out."""
    few = thinned(load("default_credit"), 600)
    cases = {
        "default_credit, 420 defaults, epsilon .5": (few, 0.5),
        "taiwan, epsilon .5": (load("taiwan"), 0.5),
    }
    print(json.dumps({name: verdicts(at_epsilon(*case)) for name, case in cases.items()}, indent=1))


def verdicts(data: Portfolio) -> dict[str, dict[str, int]]:
    """Number of draws by true AUC and by what is said."""
    plan = make_plan(data.study, data.features)
    own = sum(f.institution == BANK for f in data.features)
    said: dict[str, collections.Counter[str]] = {}
    for k in range(DRAWS):
        setting = Setting(name="few", study=data, pool=data, known=1.0, holdout=1 + k % 3, noise=k)
        made = emulate(data, holdout=setting.holdout, noise=setting.noise)
        row = SimpleNamespace(
            **released(setting, made),
            training=len(made.train),
            rate=float(data.label.mean()),
            mu_counts=plan.mu("counts"),
            own=own,
            external=len(data.features) - own,
            banks=1,
            known=1.0,
            holdout=len(made.held),
            branch=made.second.release.name,
        )
        found = verdict.judged(verdict.joined(evidence(row, True)))
        band = "below .60" if row.held_auc < 0.6 else ".60 to .65" if row.held_auc < 0.65 else "above .65"
        said.setdefault(band, collections.Counter())[found.code] += 1
    return {band: dict(count) for band, count in said.items()}


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    main()
