"""Nothing in a report that its reader had no right to: each page stands on its reader's own store, or on results.

Whatever the others keep is changed or gone, and the page stays the same to the letter; and what a policy withheld is
nowhere on a page.
"""

import contextlib
import json
import os
import re
import shutil
import sys
from dataclasses import replace
from html import escape

import numpy as np
import pytest

from fedrisk.analysis.validation.pack import validate
from fedrisk.analysis.validation.released import released_evidence
from fedrisk.analysis.validation.rows import row_evidence
from fedrisk.analysis.validation.rules import ValidationRules
from fedrisk.clients import own_results
from fedrisk.clients.member_study import last_attempt, member_study
from fedrisk.clients.node import Node
from fedrisk.clients.own_rows import own_rows
from fedrisk.clients.validation_rows import validation_rows
from fedrisk.findings import Finding
from fedrisk.language import speaking
from fedrisk.report import plots
from fedrisk.report.bank import bank_page
from fedrisk.report.deployment import deployment_record
from fedrisk.report.holder import holder_page
from fedrisk.report.html import render, write_report
from fedrisk.report.model_card import card_facts
from fedrisk.report.model_card_page import HTML, JSON, card_page, write_card
from fedrisk.report.page import write_page
from fedrisk.report.quality import Quality
from fedrisk.report.result_frames import ResultFrames
from fedrisk.report.validation import FILE, PAGE, render_validation, write_validation
from fedrisk.results import Results
from fedrisk.study import NO_PRIVACY
from support.unplotted import PLOTS

pytestmark = pytest.mark.slow

MARKERS = ("9.87654", "31415926", "marker-of-a-reason", "271828182845")
"""In the others' private things, and nowhere else."""


@pytest.fixture(scope="module")
def consortium(finished, tmp_path_factory):
    """Folder of the tiny consortium whose private run is in ``finished``, with its stores: a copy."""
    attempt = finished["private"].attempt
    base = tmp_path_factory.getbasetemp()
    found = next(f for f in base.glob("finished*") if list(f.glob(f"home/institutions/*/attempts/{attempt}")))
    folder = tmp_path_factory.mktemp("rights") / "copy"
    shutil.copytree(found, folder)
    return folder


def node_of(folder, name):
    """A node of the copy; its store's owner is not asked, since the files have moved."""
    from fedrisk.clients.store.store import NodeStore
    from fedrisk.institution import load_institution

    institution = load_institution(folder / "consortium" / "institutions" / f"{name}.toml")
    return Node(institution, NodeStore(folder / "home" / "institutions" / name, make=False))


def holder(folder, name, attempt):
    node = node_of(folder, name)
    with speaking("en"):
        return holder_page(member_study(node, last_attempt(node, attempt)))


def bank(folder, attempt):
    from fedrisk.cli.results import reason_words

    node = node_of(folder, "bank")
    with speaking("en"):
        return bank_page(own_rows(node, own_results.find(node, attempt), reason_words()))


def validation(folder, attempt):
    """The pack of the bank's validator: page and file."""
    node = node_of(folder, "bank")
    entry = own_results.find(node, attempt)
    rows, rules = own_rows(node, entry, own_results.IN_ENGLISH), ValidationRules()
    evidence = row_evidence(rows, validation_rows(node, entry, rows), rules.scale.scale(), level=rules.level)
    pack = validate(evidence, rules)
    with speaking("en"):
        return render_validation(pack) + json.dumps(pack.to_dict())


PAGES = {
    "bank": bank,
    "validator": validation,
    "tax": lambda folder, attempt: holder(folder, "tax", attempt),
    "power": lambda folder, attempt: holder(folder, "power", attempt),
}


OWNER = {"validator": "bank"}
"""Whose store a reader's page stands on."""


@contextlib.contextmanager
def undrawn():
    """In place of a picture all that it is drawn from, to the letter: more than a picture shows."""

    def written(name):
        return lambda *given, **named: plots.Plot(f"<svg>{escape(repr((name, given, named)))}</svg>", "")

    with pytest.MonkeyPatch.context() as patch, np.printoptions(threshold=sys.maxsize, precision=17):
        for name in PLOTS:
            patch.setattr(plots, name, written(name))
        yield


@pytest.fixture(scope="module")
def before(consortium, finished):
    """The page of each reader, while all is there."""
    with undrawn():
        return {who: page(consortium, finished["private"].attempt) for who, page in PAGES.items()}


@pytest.mark.parametrize("reader", PAGES)
def test_a_members_page_stands_on_its_own_store_alone(consortium, finished, before, reader, tmp_path):
    """All that others keep is gone or says something else: the page is the same to the letter."""
    folder = tmp_path / "changed"
    shutil.copytree(consortium, folder)
    for other in {"bank", "tax", "power"} - {OWNER.get(reader, reader)}:
        own = folder / "home" / "institutions" / other
        shutil.rmtree(own)
        own.mkdir()
        (own / "own_figures.json").write_text(json.dumps({"auc": MARKERS[0], "reason": MARKERS[2]}))
        (folder / "consortium" / "data" / f"{other}.csv").write_text(f"id,bad\n1,{MARKERS[1]}\n")
        file = folder / "consortium" / "institutions" / f"{other}.toml"
        file.write_text(re.sub(r"(max_epsilon|cap_epsilon) = \S+", rf"\1 = {MARKERS[3]}", file.read_text()))
    for left in (folder / "home").iterdir():
        if left.name != "institutions":
            shutil.rmtree(left) if left.is_dir() else os.remove(left)
    with undrawn():
        page = PAGES[reader](folder, finished["private"].attempt)
    assert page == before[reader]
    assert not [m for m in MARKERS if m in page]


def test_a_holders_page_has_no_figure_of_a_bank_and_no_budget_of_others(consortium, finished, before):
    """Nothing of the bank's own comparison, and no other member's meanings or budget, also where they were told."""
    attempt, results = finished["private"].attempt, finished["private"]
    figures = own_results.figures(
        node_of(consortium, "bank"), own_results.find(node_of(consortium, "bank"), attempt)
    )
    exact = {f"{v:.{d}f}" for v in _numbers(figures) for d in (4, 5) if 0 < abs(v) < 1}
    for who in ("tax", "power"):
        text = re.sub(r"<svg.*?</svg>|<style.*?</style>", "", before[who], flags=re.DOTALL)
        shown = set(re.findall(r"\d\.\d{4,5}", text))
        prices = {
            f"{m.mu:.4f}"
            for m in member_study(
                node_of(consortium, who), last_attempt(node_of(consortium, who), attempt)
            ).left
        }
        # Edges of bins are the card's, which members have; a share of few rows can be one by chance.
        edges = set(re.findall(r"\d\.\d{4,5}", " ".join(x for b in results.card.bins for x in b.labels())))
        assert not (shown & exact) - prices - edges
        for other in results.institutions.keys() - {who}:
            told = results.institutions[other].meanings or {}
            own = {m["meaning"] for m in (results.institutions[who].meanings or {}).values()}
            assert not [
                m["meaning"] for m in told.values() if m["meaning"] not in own and m["meaning"] in text
            ]


def _numbers(plain):
    if isinstance(plain, dict):
        return [n for v in plain.values() for n in _numbers(v)]
    if isinstance(plain, list):
        return [n for v in plain for n in _numbers(v)]
    return [plain] if isinstance(plain, float) else []


def test_the_operators_page_stands_on_the_results_alone(finished, tmp_path, monkeypatch):
    """No store is read for it, not even the hub's. What is exact is not on it: whom holders know, banks apart."""
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "nowhere"))
    results = finished["private"]
    page = render(replace(results, by_bank=None))
    assert not (tmp_path / "nowhere").exists()
    assert results.attempt in page
    assert results.rows.overlap is None
    assert "not published" in page
    assert "<h2>Banks</h2>" not in page


NO_PLOTS = Quality(tiles=[], plots=[], groups=[])

PRIVATE_FACTS = {"before": 271828182845.0, "after": 314159265358.0, "epsilon": 271828182845.0}
"""What an institution says of its budget to the operator."""


def planted(results):
    """Results with markers in all that the hub has of its members besides the model: budgets, meanings, errors."""
    facts = {
        name: replace(told, budget_left=PRIVATE_FACTS, meanings={"x": {"meaning": MARKERS[2], "unit": ""}})
        for name, told in results.institutions.items()
    }
    missing = Finding("table_missing", {"institution": "tax", "code": MARKERS[2]})
    return replace(results, institutions=facts, findings=(*results.findings, missing))


def test_what_goes_to_the_public_has_nothing_of_members_besides_the_model(finished, tmp_path, monkeypatch):
    """Model card, its file, deployment record, tables and the validation on released numbers: from results alone."""
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "nowhere"))
    # Plots are of the same figures, and take most of the time.
    monkeypatch.setattr("fedrisk.report.model_card_page.quality_of", lambda _: NO_PLOTS)
    results = planted(finished["private"])
    frames = Results.of(results).frames
    tables = [n for n, v in vars(ResultFrames).items() if isinstance(v, property)]
    with speaking("en"):
        pack = validate(released_evidence(results.record, results.card), ValidationRules())
        public = {
            "card": card_page(results),
            "card file": json.dumps(card_facts(results)),
            "deployment": json.dumps(deployment_record(results)),
            "validation": json.dumps(pack.to_dict()),
            **{f"frames.{name}": getattr(frames, name).to_csv() for name in tables},
        }
    assert not (tmp_path / "nowhere").exists()
    for name, text in public.items():
        assert not [m for m in (*MARKERS, "271828182845", "314159265358") if m in text], name
    # Budgets and who did not hand over a table are the operator's to know.
    assert "271,828,182,845" in render(results) or "271828182845" in render(results)


@pytest.fixture
def quick(monkeypatch):
    """Pages of a few letters: who may read them is asked, not what they say."""
    for name in ("validation.render_validation", "model_card_page.card_page", "html.render"):
        monkeypatch.setattr(f"fedrisk.report.{name}", lambda *_: "<p>page</p>")


def test_no_page_of_one_reader_is_left_readable_for_others(finished, tmp_path, quick):
    """Also where it takes the place of one that others can read; the model card alone is for all."""
    results = finished["private"]
    pack = validate(released_evidence(results.record, results.card), ValidationRules())
    files = {n: tmp_path / n for n in ("bank.html", "holder.html", "report.html", PAGE, FILE, HTML, JSON)}
    for file in files.values():
        file.write_text("before")
        file.chmod(0o644)
    write_page(files["bank.html"], "<p>page</p>")
    write_page(files["holder.html"], "<p>page</p>")
    write_report(results, tmp_path)
    write_card(results, tmp_path)
    for folder in (tmp_path, tmp_path / "new" / "pack"):
        write_validation(pack, folder)
    assert "before" not in {file.read_text() for file in files.values()}
    assert {n for n, file in files.items() if file.stat().st_mode & 0o077} <= {HTML, JSON}
    made = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert len(made) == 4 and not [path.name for path in made if path.stat().st_mode & 0o077]


def test_a_run_without_privacy_has_a_card_that_says_so_and_no_deployment_record(
    finished, tmp_path, quick, fedrisk
):
    finished["research"].save(tmp_path)
    code, _, err = fedrisk("report", "card", tmp_path)
    assert code == 0, err
    assert json.loads((tmp_path / JSON).read_text())["model"]["notice"] == NO_PRIVACY
    assert not (tmp_path / "deployment.json").exists()
    code, _, err = fedrisk("report", "card", tmp_path, "--record-only")
    assert code != 0 and "nothing to register" in err


def test_what_a_policy_withheld_is_nowhere_on_the_page(finished):
    """Where no evaluation may be told there is no curve of it either, though counts might lie in a record."""
    results = finished["private"]
    none = dict.fromkeys(
        ("auc", "ks", "gini", "brier", "auc_standard_error", "calibration", "calibration_fit")
    )
    page = render(replace(results, by_bank=None, **none))
    assert "a bank&#39;s policy does not let them out" in page
    for caption in ("ROC curve", "Calibration in figures", "What a cut-off lets in", "<span>KS</span>"):
        assert caption not in page
    # Coordinates of drawings are numbers as well.
    read = re.sub(r"<svg.*?</svg>|<p class=\"verdict.*?</p>", "", page, flags=re.DOTALL)
    assert f"{results.auc:.3f}" not in read
