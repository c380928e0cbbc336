import os
from pathlib import Path

import pytest

from support.mangling_hub import Mangler, Rules

pytestmark = pytest.mark.study

RULES = Rules()


def vertical(kit, folder):
    return kit.build(folder, ("alfa",), ("tax", "power"), enterprises=700), {}


def horizontal(kit, folder):
    study = {"alignment": {"inclusion_probability": 0.8}}
    return kit.build(folder, kit.BANKS, (), enterprises=900, study=study), {}


def several(kit, folder):
    study = {"alignment": {"inclusion_probability": 0.8}}
    return kit.build(folder, ("alfa", "beta"), ("tax",), enterprises=900, authority="notary", study=study), {}


def recount(kit, folder):
    return kit.build(folder, ("alfa",), ("tax",), enterprises=400), {}


NETWORK = {
    "recipe": "network",
    "network": {"kind": "logistic"},
    "training": {"steps": 2},
    "alignment": {"inclusion_probability": 0.8},
    "expected": {"default_rate": 0.2},
}
ALLOWED = {"recipes": ["scorecard", "network", "encoder"]}


def network(kit, folder):
    def lose(action, step):
        return {"beta": "dead"} if action == "step" and step == 1 else {}

    return kit.build(folder, kit.BANKS, (), enterprises=700, policy=ALLOWED, study=NETWORK), {"lose": lose}


def external(kit, folder):
    policy = {**ALLOWED, "cap_epsilon": 40.0}
    study = {"privacy": {"epsilon": 3.0}, "alignment": {"inclusion_probability": 0.8}}
    own = kit.build(folder, ("alfa", "beta"), ("tax", "power"), enterprises=700, policy=policy, study=study)
    own.run()
    neural = {**NETWORK, "name": "net", "network": {"kind": "logistic", "external": "whole"}}
    return own, {"study": own.with_study(**neural)}


STUDIES = [vertical, several, horizontal, recount, network, external]


def play(kit, scratch, make, share):
    folder = scratch()
    consortium, how = make(kit, folder)
    mangler = Mangler(consortium, RULES, share=share, seed=make.__name__, folder=scratch())
    consortium.run(change=mangler, **how)
    consortium.last.close()
    return mangler


@pytest.mark.parametrize("make", STUDIES, ids=lambda make: make.__name__)
def test_try(kit, scratch, make):
    mangler = play(kit, scratch, make, float(os.environ.get("SHARE", "3")))
    for key, n in sorted(mangler.counts.items()):
        print(*key, n)
    print(sum(mangler.counts.values()), "mangled")
    Path(f"/tmp/mangle_{make.__name__}.txt").write_text("\n".join(mangler.failures))
    assert not mangler.failures, "\n".join(f[:600] for f in mangler.failures[:40])
