"""Every message of whole studies of every recipe, mangled: generic codes, no state change, no charge.

A hub plays an honest study. Right before a message is delivered, mangled copies of it go to a copy of its node, through
the same ClientApp: every field at every depth removed, renamed, or replaced; every array and envelope broken; parts and
blobs swapped; messages of other actions and attempts; records that no sender makes (support/mangling). Each has to be
refused with one of the codes of fedrisk/errors.py, with nothing charged, and with a store that is byte for byte as
before but for the trail, which still verifies, the log of errors, and the attempt's own folder. ``RULES`` names what may
be answered instead, and why; then the charge is at most the true message's, and where the others see another view the
next true message is refused.

``make test`` runs a sample of about 140. ``make mangle`` runs 12,540, in six to nine minutes on two busy cores; of one run, 10,833
were refused with code protocol, 992 config, 374 envelope, 12 refused, 2 data, none with internal; 327 were answered by
``RULES``, 87 of them as the true message, and 119 so that the next true message is refused (118 were, one had none).
"""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients import common_view
from fedrisk.protocol.form import Form
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
        r"common\.order\.(training|holdout|labelled|sampled|uses).*",
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
    Rule("mask", r"secrets.*|\[.*@NAME(\|\d)?\]", "hub", "random numbers of the hub; others make wrong sums"),
    Rule(
        "release",
        r"common\.(bins|counts).*",
        "bound",
        "without holders totals come with the request for a release",
    ),
    Rule(
        "release",
        r"common\.members\.(statements|signed_heads|witnessed).*",
        "bound",
        "what others say of themselves, told without alignment in the message that asks for the release",
    ),
    Rule("totals", r"common\.totals.*", "later", "totals that rows and noise can make: members confirm them"),
    Rule("score|deliver", r"common\.card.*", "bound", "totals by which the same card follows"),
    Rule(
        "prepare",
        r"common\.(bins|training).*",
        "bound",
        "numbers within rounding; totals by which the same follows",
    ),
    Rule("warn", r"\[bank\]", "hub", "totals that own rows allow: banks sign them to each other"),
    Rule(
        "warn",
        r"signed",
        "hub",
        "asked as at first, without signatures: it signs, and takes no threshold",
        "empty object",
    ),
    Rule("confirm|unmask", r"(survivors|lost).*", "same", "sets, in whatever order", "swapped.*|backwards"),
    Rule("step", r"step", "bound", "another step, at its own price"),
    Rule("step|conclude", r"\[weights\]", "hub", "the model is the hub's; masks are bound to it"),
    Rule("conclude", r"evaluate", "asked", "whether the hold-out is evaluated"),
    Rule(".*", ".*", "same", "no mangling at all", "as it is"),
)
"""Where a mangled message may be answered."""


def vertical(kit, folder):
    few = {"bank": kit.COLUMNS["bank"][:2], "tax": kit.COLUMNS["tax"][::2], "power": kit.COLUMNS["power"][:1]}
    return kit.build(folder, ("alfa",), ("tax", "power"), enterprises=900, columns=few), {}


def horizontal(kit, folder):
    """Without holders, and with a hold-out by date."""
    dated = {"bank": [*kit.COLUMNS["bank"], {"name": "day", "kind": "date", "feature": False}]}
    study = {
        "alignment": {"inclusion_probability": 0.8},
        "holdout": {"kind": "out_of_time", "from_date": date(2024, 7, 1)},
    }
    return kit.build(
        folder,
        kit.BANKS,
        (),
        enterprises=900,
        study=study,
        columns=dated,
        dictionary={"as_of": "day"},
        policy={"out_of_time": True},
    ), {}


def several(kit, folder):
    study = {"alignment": {"inclusion_probability": 0.8}}
    return kit.build(folder, ("alfa", "beta"), ("tax",), enterprises=900, authority="notary", study=study), {}


def warned(kit, folder):
    """Banks are told the totals of the evaluation once the study is over, and confirm them to each other."""
    study = {"alignment": {"inclusion_probability": 0.8}, "warning": {"false_alarms": 0.1}}
    return kit.build(folder, ("alfa", "beta"), ("tax",), enterprises=900, study=study), {}


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


def encoder(kit, folder):
    """Two data holders train on histories of their own."""
    names = ("tax", "power")
    study = {**ENCODER, "alignment": {"inclusion_probability": 1.0}}
    own = kit.build(folder, (), names, enterprises=400, policy=ALLOWED, study=study)
    for k, name in enumerate(names):
        wide(own.tables[name]["id"].to_numpy(), k).to_parquet(folder / f"{name}_months.parquet", index=False)
        histories = {"source": f"{name}_months.parquet"}
        own.content[name]["encoders"] = [
            {"name": "months", "outputs": 2, "histories": histories, "series": SERIES}
        ]
        own.write(name)
    return own, {}


ENCODER = {"recipe": "encoder", "encoder": {"name": "months"}, "training": {"steps": 2}}
SERIES = [{"name": "invoices", "unit": "invoices", "low": 0, "high": 5000}]


def wide(ids, seed):
    """Eighteen months of one series, one row an enterprise."""
    values = np.random.default_rng(seed).lognormal(3, 1, (len(ids), 18)).astype(np.float32)
    return pd.DataFrame({"id": ids} | {f"invoices_m{t + 1:02d}": values[:, t] for t in range(18)})


def counting(kit, folder):
    """Statistics of the banks' common columns, without alignment; a holder that nothing is counted of sees them."""
    measures = [{"kind": "count"}, {"kind": "mean", "column": "bank.late"}]
    study = {"recipe": "statistics", "statistics": {"by": ["bank.grade"], "measures": measures}}
    own = kit.build(folder, ("alfa", "beta"), ("tax",), enterprises=300, study=study)
    for name, content in own.content.items():
        opened = ["grade", "late"] if name != "tax" else []
        content["policy"] = {**content["policy"], "recipes": ["statistics"], "statistics": opened}
        own.write(name)
    return own, {}


STUDIES = (encoder, vertical, several, warned, horizontal, recount, network, external, counting)
SAMPLED = (vertical, counting)
"""Studies of the sample: sums of secure products, scores, statistics; all of them: make mangle."""


def play(kit, scratch, make, share, **how_mangled):
    """A study of which every message is mangled ``share`` times."""
    consortium, how = make(kit, scratch())
    mangler = Mangler(consortium, RULES, share=share, seed=make.__name__, folder=scratch(), **how_mangled)
    consortium.run(change=mangler, **how)
    consortium.last.close()
    return mangler


def told(mangler):
    """Failures in words, the first of them; counts go to the output."""
    for (action, outcome), count in sorted(mangler.counts.items()):
        print(f"{action:12} {outcome:20} {count}")
    print("after an answer, the next true message:", dict(mangler.later))
    return "\n".join(failure[:1500] for failure in mangler.failures[:30])


@pytest.mark.parametrize("make", SAMPLED, ids=lambda make: make.__name__)
def test_a_sample_of_mangled_messages_changes_and_costs_nothing(kit, scratch, make):
    mangler = play(kit, scratch, make, share=2)
    assert not mangler.failures, told(mangler)
    assert mangler.counts.total() > (50 if make is not counting else 20)


@pytest.mark.mangle
@pytest.mark.parametrize("make", STUDIES, ids=lambda make: make.__name__)
def test_mangled_messages_change_and_cost_nothing(kit, scratch, make):
    mangler = play(kit, scratch, make, share=60)
    assert not mangler.failures, told(mangler)
    assert mangler.counts.total() > 600
    told(mangler)


@pytest.mark.mangle
@pytest.mark.parametrize("what", ["forms", "confirmations"])
def test_a_node_that_checks_less_is_found_out(kit, scratch, monkeypatch, what):
    if what == "forms":
        monkeypatch.setattr(Form, "check", lambda self, payload, what: None)
    else:
        monkeypatch.setattr(common_view, "_check_confirmed", lambda attempt, view, earlier: None)
    places, share = {"forms": (r"secrets.*|\(extra.*", 4), "confirmations": ("confirmed.*", 20)}[what]
    assert play(kit, scratch, recount, share=share, only=places).failures
