"""A study with columns that holders compute from monthly histories, and its model, which answers with the same values."""

import numpy as np
import pandas as pd
import pytest

from fedrisk.cli.model_screen import about, show
from fedrisk.clients.node import Node
from fedrisk.models.scorecard import Scorecard
from fedrisk.report.html import render
from fedrisk.serving import registry
from fedrisk.serving.asking import Asking
from fedrisk.serving.bank import BankService
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.messages import MOST_ROWS
from fedrisk.serving.score_forms import ScoreRequest, ServiceError
from support.served import approve_all

SERVING = {"approve": "own_parts", "consent": "none", "per_day": 100_000, "ages": "always"}
SEASON = [1.2, 0.8, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.0, 1.0, 0.9, 1.1]
COLUMNS = [
    {"name": "sales_fall", "history": "sales", "kind": "fall", "months": 3, "before": 6},
    {"name": "sales_level", "history": "sales", "kind": "level", "bins": 4},
    {"name": "sales_gaps", "history": "sales", "kind": "gaps"},
]


def with_histories(made):
    """The tax office's columns come from histories alone, which nine tenths of its enterprises have."""
    g, table = np.random.default_rng(1), made.tables["tax"]
    x = np.exp(g.normal(3, 0.5, (len(table), 14)))
    x[:, -3:] *= np.exp(2 * table["growth"].to_numpy())[:, None]
    x[g.random(x.shape) < 0.1] = np.nan
    months = pd.DataFrame({"id": table["id"]} | {f"sales_m{m + 1:02d}": x[:, m] for m in range(14)})
    months.sample(frac=0.9, random_state=1).to_parquet(made.folder / "months.parquet", index=False)
    content = made.content["tax"]
    content["histories"] = {
        "source": "months.parquet",
        "months": 12,
        "ends": "2026-05",
        "series": [
            {"name": "sales", "unit": "yuan", "low": 0, "high": 1000, "better": "high", "season": SEASON}
        ],
    }
    content["dictionary"] = {**content["dictionary"], "columns": COLUMNS}
    made.write("tax")


def with_turnover(made):
    """The bank adds a column of the turnover of its accounts, which falls where one of its columns is low."""
    g, table = np.random.default_rng(2), made.tables["alfa"]
    known = table.drop(columns=["id", "label"], errors="ignore").select_dtypes("number").iloc[:, 0]
    x = np.exp(g.normal(3, 0.2, (len(table), 12)))
    x[:, -3:] *= np.exp(known.rank(pct=True).to_numpy() - 1)[:, None]
    months = pd.DataFrame({"id": table["id"]} | {f"turnover_m{m + 1:02d}": x[:, m] for m in range(12)})
    months.to_parquet(made.folder / "turnover.parquet", index=False)
    content = made.content["alfa"]
    series = [{"name": "turnover", "low": 0, "high": 1000, "better": "high"}]
    content["histories"] = {"source": "turnover.parquet", "months": 12, "series": series}
    column = {"name": "turnover_fall", "history": "turnover", "kind": "fall", "months": 3, "before": 6}
    content["dictionary"]["columns"] = [*content["dictionary"]["columns"], column]
    made.write("alfa")


def test_a_study_with_histories_and_its_served_scores(kit, tmp_path, capsys):
    made = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900, policy={"serving": SERVING})
    with_histories(made)
    with_turnover(made)
    run = made.run()
    stated = run.roster.statements["tax"]
    assert set(stated.computed) == {c["name"] for c in COLUMNS}
    assert {f["column"]: f["direction"] for f in stated.features} == {
        "sales_fall": "increasing",
        "sales_level": "decreasing",
        "sales_gaps": "increasing",
    }
    # What the tax office divides by is read at the hub, and by the bank before it approves a model.
    (told,) = run.results.institutions["tax"].seasons
    assert told == {"series": ["sales"], "season": {"other": SEASON}}
    line = "tax: divides sales by published indices of the season: 0.8 (February) to 1.2 (January)"
    assert line in render(run.results) and not run.results.institutions["alfa"].seasons
    alfa = run.nodes["alfa"]
    (seen,) = alfa.store.models.parts()
    content = about(alfa, seen, alfa.store.models.state(seen.model), [])
    assert content["seasons"] == {"tax": (told,)}
    show(alfa, seen, alfa.store.models.state(seen.model), {**content, "by_form": []})
    assert line in capsys.readouterr().out
    approve_all(run)
    (part,) = run.nodes["tax"].store.models.parts()
    assert part.computed == {name: rule.digest for name, rule in stated.computed.items()}
    relay = LocalRelay({name: node.institution.file for name, node in run.nodes.items()}, "none")
    (bank_part,) = run.nodes["alfa"].store.models.parts()
    asking, study = Asking(run.nodes["alfa"], relay.of("alfa")), run.scores("alfa")
    ids = study["id"].tolist()
    sums = [
        asking.ask(bank_part, ids[k : k + MOST_ROWS], purpose=bank_part.purpose)
        for k in range(0, len(ids), MOST_ROWS)
    ]
    assert all((s.failed, s.refused) == ({}, {}) for s in sums)
    points = np.concatenate([s.columns["points"] for s in sums])
    card = Scorecard.from_json(bank_part.calibrated)
    external = card.scaled_points(card.calibration, points)
    assert external.tolist() == study["external_points"].tolist() and len(np.unique(points)) > 3
    bank = Node.open(run.nodes["alfa"].institution.file)
    registry.deploy(bank, bank_part.model, as_="champion", who="ann")
    served = BankService(bank, relay.of("alfa"))
    answers = served.score(ScoreRequest(ids=tuple(ids[:3])))
    assert [a.score for a in answers] == study["score"].tolist()[:3]
    # The bank's own column by another rule would say something else as well, whatever it is asked for.
    made.content["alfa"]["dictionary"]["columns"][-1]["months"] = 4
    made.write("alfa")
    with pytest.raises(ServiceError, match="It is turnover_fall") as raised:
        served.score(ScoreRequest(ids=tuple(ids[:3])))
    assert raised.value.reason == "model_rule"
    made.content["alfa"]["dictionary"]["columns"][-1]["months"] = 3
    made.write("alfa")
    assert served.score(ScoreRequest(ids=tuple(ids[:3])))[0].score == answers[0].score
    served.close()
    relay.close()
    # By another rule the columns would say something else: the model is answered no more.
    columns, (series,) = (
        made.content["tax"]["dictionary"]["columns"],
        made.content["tax"]["histories"]["series"],
    )
    for changed, other in ((columns[0], {"months": 4}), (series, {"season": [1.1, 0.9, *SEASON[2:]]})):
        before = dict(changed)
        changed |= other
        made.write("tax")
        relay = LocalRelay({name: node.institution.file for name, node in run.nodes.items()}, "none")
        again = Asking(run.nodes["alfa"], relay.of("alfa")).ask(bank_part, ids[:5], purpose=bank_part.purpose)
        assert again.failed == {"tax": "approval"}
        relay.close()
        changed |= before
