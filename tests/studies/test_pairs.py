"""A whole study that looks for pairs: what is released, charged, kept, told and given."""

import numpy as np
import pandas as pd
import pytest

SECOND = {"second": "gram", "pairs": "auto"}


def interacting(enterprises, seed=3):
    """Bank, tax and power office: default depends on the product of two columns of the bank, and of two of the tax's."""
    rng = np.random.default_rng(seed)
    u, v, a, b, w = rng.normal(size=(5, enterprises))
    z = -2 + 0.5 * u + 0.4 * a + 1.1 * u * v - 1.0 * a * b + 0.3 * w
    ids = np.array([f"ENT{i:06d}" for i in range(enterprises)], object)
    bank = {
        "id": ids,
        "debt": np.exp(9 + u),
        "late": np.clip(np.exp(0.9 * v), 0, 12),
        "grade": np.array(["A", "B", "C"])[np.digitize(w, [-0.6, 0.7])],
        "bad": (rng.random(enterprises) < 1 / (1 + np.exp(-z))).astype(int),
    }
    tax = {
        "id": ids,
        "sales": np.exp(12 + a),
        "growth": np.clip(0.3 * b, -0.99, 0.99),
        "audited": (w > 1) * 1.0,
    }
    power = {
        "id": ids,
        "usage": np.clip(500 + 100 * rng.normal(size=enterprises), 1, 999),
        "cuts": 1.0 * (v > 1),
    }
    some = rng.random(enterprises) < 0.9
    return {"alfa": pd.DataFrame(bank), "tax": pd.DataFrame(tax)[some], "power": pd.DataFrame(power)}


def built(kit, folder, **how):
    study = {"scorecard": SECOND, "privacy": {"epsilon": 20.0}, **how.pop("study", {})}
    return kit.build(folder, ("alfa",), kit.HOLDERS, tables=interacting(3000), study=study, **how)


@pytest.fixture(scope="module")
def run(kit, tmp_path_factory):
    return built(kit, tmp_path_factory.mktemp("pairs")).run()


def test_a_study(run):
    card = run.results.card
    print([b.feature.name for b in card.bins], [f.code for f in run.results.findings])
