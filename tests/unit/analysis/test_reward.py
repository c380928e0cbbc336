"""Rewards by rules: by hand, and exact to the fen."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fedrisk.analysis.contribution import Worth
from fedrisk.analysis.data_quality import Quality, Share
from fedrisk.analysis.reward import RewardRules, load_reward_rules, rewards
from fedrisk.errors import ConfigError

SURE = Share(value=0.8, error=0.01, noise=0.01)


def worth(value, error=0.001):
    figures = dict.fromkeys(Worth.__dataclass_fields__, 0.0)
    return Worth(**figures | {"value": value, "error": error, "noise": error, "known": value})


def study(values, **qualities):
    """Contributions of these values; quality: (coverage, completeness)."""
    names = list(values)
    shares = {n: [replace(SURE, value=q) for q in qualities.get(n, (1.0, 1.0))] for n in names}
    return SimpleNamespace(
        institutions=[
            SimpleNamespace(institution=n, worth={"deviance": w, "auc": w}) for n, w in values.items()
        ],
        quality={
            n: Quality(coverage=None if n == "bank" else a, completeness=b, columns={})
            for n, (a, b) in shares.items()
        },
    )


def rules(**more):
    return RewardRules(**{"name": "r", "amount": "100.00", "reliability": 2.0, **more})


def by_name(divided):
    return {r.institution: r.fen for r in divided.rewards}


def test_by_value_among_holders_or_all():
    found = study({"bank": worth(0.5), "tax": worth(0.3), "power": worth(0.2)})
    assert by_name(rewards(found, rules())) == {"tax": 6000, "power": 4000}
    assert by_name(rewards(found, rules(to="all"))) == {"bank": 5000, "tax": 3000, "power": 2000}


def test_what_could_be_noise_and_what_is_negative_earns_nothing():
    found = study({"tax": worth(0.3), "power": worth(0.2, 0.11), "court": worth(-0.1)})
    divided = rewards(found, rules())
    assert by_name(divided) == {"tax": 10000, "power": 0, "court": 0}
    assert [r.why for r in divided.rewards] == ["", "unreliable", "unreliable"]
    assert by_name(rewards(found, rules(reliability=1.5)))["power"] == 4000


def test_floor_and_cap():
    found = study({"tax": worth(0.98), "power": worth(0.01), "court": worth(0.01)})
    assert by_name(rewards(found, rules(floor=0.05))) == {"tax": 9000, "power": 500, "court": 500}
    capped = rewards(found, rules(cap=0.3))
    assert by_name(capped) == {"tax": 3000, "power": 3000, "court": 3000}
    assert capped.left == 1000
    assert [r.why for r in rewards(found, rules(floor=0.05)).rewards] == ["", "floor", "floor"]


def test_quality_lowers_the_weight():
    found = study({"tax": worth(0.5), "power": worth(0.5)}, tax=(0.5, 1.0), power=(1.0, 0.6))
    stated = rules(
        quality={"coverage": 0.4, "completeness": 0.5, "delay": 0.1, "delay_days": 100},
        declared={"tax": {"delay_days": 50}, "power": {"delay_days": 400}},
    )
    divided = rewards(found, stated)
    # Factors .75 and .7.
    assert [r.factor for r in divided.rewards] == pytest.approx([0.75, 0.7])
    assert by_name(divided) == {"tax": 5172, "power": 4828}


def test_what_lacks_less_than_its_noise_lowers_no_weight_and_shows_in_no_factor():
    found = study({"tax": worth(0.5), "power": worth(0.5)}, tax=(1.0, 0.995))
    divided = rewards(found, rules(quality={"completeness": 0.5}))
    assert [r.factor for r in divided.rewards] == [1.0, 1.0]


def test_nobody_earns():
    divided = rewards(study({"tax": worth(0.0)}), rules())
    assert (by_name(divided), divided.left) == ({"tax": 0}, 10000)


def test_every_fen_is_there():
    rng = np.random.default_rng(2)
    for _ in range(200):
        values = {f"h{k}": worth(float(v), 1e-6) for k, v in enumerate(rng.random(7) ** 4 + 1e-3)}
        fen = int(rng.integers(1, 10**11))
        stated = rules(amount=f"{fen // 100}.{fen % 100:02d}", floor=0.01, cap=float(rng.uniform(0.2, 1)))
        divided = rewards(study(values), stated)
        assert sum(by_name(divided).values()) + divided.left == fen
        assert divided.left == 0
        assert min(by_name(divided).values()) >= fen // 100
        assert max(by_name(divided).values()) <= stated.cap * fen + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "r"\namount = "1.005"', "amount"),
        ('name = "r"\namount = "1"\nflor = 0.1', "floor"),
        ('name = "r"\namount = "1"\nfloor = 0.6\ncap = 0.5', "above cap"),
        ('name = "r"\namount = "1"\n[quality]\ncoverage = 0.6\ndelay = 0.6', "more than 1"),
        ('name = "r"\namount = "1"\nreliability = 0.5', "reliability"),
    ],
)
def test_rules_that_are_broken_are_named(tmp_path, text, said):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_reward_rules(tmp_path / "r.toml")


def test_rules_that_do_not_fit_the_study():
    found = study({"tax": worth(0.5), "power": worth(0.5)})
    with pytest.raises(ConfigError, match="of no institution"):
        rewards(found, rules(declared={"taxes": {"delay_days": 3}}))
    with pytest.raises(ConfigError, match="power declares none"):
        rewards(found, rules(quality={"delay": 0.5}, declared={"tax": {"delay_days": 3}}))
    with pytest.raises(ConfigError, match="lower the floor"):
        rewards(found, rules(floor=0.6))
