"""When a figure counts as broken, when it could not have been, and whether protections are off while somebody waits."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest

from fedrisk.attacks import attack, controls
from fedrisk.attacks.attack import Measured
from fedrisk.attacks.coin_games import CONFIDENCE, share
from fedrisk.attacks.membership import Trials


def measured(figure, value, low, *, high=None, trials=1, **about):
    high = value if high is None else high
    more = {"attack": "a", "target": "x", "method": "nobody (2000)", "trials": trials, **about}
    return Measured(figure=figure, value=value, low=low, high=high, **more)


def of_share(hits, trials, claimed):
    found = share(hits, trials)
    return measured("accuracy", **vars(found), confidence=CONFIDENCE, claimed=claimed)


@pytest.mark.parametrize(("trials", "claimed"), [(40, 0.5), (110, 0.65), (600, 0.011)])
def test_a_share_is_broken_from_the_least_number_of_hits_on(trials, claimed):
    least = of_share(0, trials, claimed).broken_from
    hits = round(least * trials)
    assert of_share(hits, trials, claimed).verdict == "broken"
    assert of_share(hits - 1, trials, claimed).verdict == "held"


def test_what_nothing_could_have_broken_is_not_judged():
    # 16 right guesses of a coin have a chance of 1.5e-5, and each figure 3.3e-6 to be wrong.
    assert of_share(16, 16, 0.5).verdict == "not judged"
    assert of_share(8, 16, 0.5).broken_from is None
    # Two versions of 9 bits are more than 14 bits that there are.
    assert measured("bits", 9.0, 9.0, claimed=18.0, most=14.3).verdict == "not judged"
    assert measured("bits", 9.0, 9.0, claimed=9.0, most=14.3).verdict == "held"
    assert measured("share", 0.0, 0.0, claimed=0.0, trials=0).verdict == "not judged"
    assert measured("auc", 0.7, 0.6).verdict == "not judged"


def test_other_figures_are_broken_from_their_bound_and_the_reach_of_their_interval_on():
    assert measured("mu", 1.0, 1.0, claimed=1.0).broken_from == 1.0
    assert measured("mu_by_samples", 1.0, 0.9, claimed=1.0).broken_from == pytest.approx(1.1)
    assert measured("mu", math.inf, math.inf, claimed=1.0).verdict == "broken"
    assert set(attack.SHARES) < set(attack.UP_TO_ONE)


def test_a_score_of_known_distribution_is_held_to_one_false_alarm_in_a_thousand():
    """Eight of a hundred at mu 1, which allows 1.8 %: found; a claim at false alarms as 50 trials leave them would not."""
    coin = np.arange(150) < 100
    score = np.where(np.arange(150) < 8, 4.0, 0.0)
    known = Trials(score, coin, (score, coin), score).tested(1.0)
    learnt = Trials(score, coin, (score, coin)).tested(1.0)
    assert known[0].value == 0.08 and known[1] == pytest.approx(0.0183, abs=1e-4)
    assert learnt[1] > 0.5


def test_no_protection_is_off_while_an_attack_waits():
    """Whoever takes figures one by one has the process between them: nothing is yielded within a control."""
    off = {
        n.name for n in ast.parse(Path(controls.__file__).read_text()).body if isinstance(n, ast.FunctionDef)
    }
    for file in Path(attack.__file__).parent.glob("*.py"):
        for block in ast.walk(ast.parse(file.read_text())):
            if isinstance(block, ast.With) and file.name != "controls.py":
                entered = {n.id for i in block.items for n in ast.walk(i) if isinstance(n, ast.Name)}
                inside = [n for b in block.body for n in ast.walk(b)]
                waits = any(isinstance(n, ast.Yield | ast.YieldFrom) for n in inside)
                assert not (waits and entered & off), f"{file.name}:{block.lineno}"
