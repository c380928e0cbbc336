import os
from pathlib import Path

import pytest

from support.mangling_hub import Mangler, Rule

pytestmark = pytest.mark.study

RULES = (
    Rule(
        "describe",
        r"study.*|research_seed",
        "later",
        "any study may be described; the others agreed to another one",
    ),
    Rule(
        "describe",
        r"attempt|\(message\)|\(record body\)",
        "later",
        "the same study under another id: nobody else has an attempt of that id",
    ),
    Rule(
        "close",
        r"attempt|\(message\)|\(record body\)",
        "hub",
        "another attempt is closed, or one that never began here",
    ),
    Rule(
        "blind",
        r"common\.members\.(statements|signed_heads|witnessed).*",
        "later",
        "what others say of themselves and keep of each other: they confirm it in the next exchange",
    ),
    Rule("evaluate", r"\[NAME\]", "hub", "a member whose envelope is not there asks for nothing", "removed"),
    Rule("evaluate", r"\(message\)", "hub", "nobody asks for anything", "without blobs"),
    Rule(
        "edges",
        r"common\.order\.(training|holdout|sampled|uses).*",
        "bound",
        "counts of other members' lists, told in the message that asks for the edges",
    ),
    Rule(
        "edges",
        r"\[(rows|use|sample):NAME\]",
        "hub",
        "which rows: what the hub draws; the check of rows comes later",
    ),
    Rule("mask", r"common\.(bins|counts).*", "later", "totals by which the same follows"),
    Rule("mask", r"secrets.*|\[.*NAME@NAME.*\]", "hub", "random numbers of the hub; others make wrong sums"),
    Rule(
        "release",
        r"common\.(bins|counts).*",
        "bound",
        "without holders totals come with the request for a release",
    ),
    Rule("score|deliver", r"common\.card.*", "bound", "totals by which the same card follows"),
    Rule(
        "prepare",
        r"common\.(bins|training).*",
        "bound",
        "numbers within rounding; totals by which the same follows",
    ),
    Rule("confirm|unmask", r"(survivors|lost).*", "same", "sets, in whatever order", "swapped.*|backwards"),
    Rule("step", r"step", "bound", "another step, at its own price"),
    Rule("step|conclude", r"\[weights\]", "hub", "the model is the hub's; masks are bound to it"),
    Rule("conclude", r"evaluate", "hub", "whether the hold-out is evaluated"),
    Rule(".*", ".*", "same", "no mangling at all", "as it is"),
)
"""Where a mangled message may be answered."""


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
