"""Words: every code that the package uses has some, with the figures that come with it."""

import ast
import string
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import fedrisk
from fedrisk.audit.crosscheck import Disagreement
from fedrisk.clients.app import SHARED
from fedrisk.data.features import Feature
from fedrisk.findings import Finding
from fedrisk.language import speaking
from fedrisk.privacy.policy import Policy
from fedrisk.recipes import RECIPES, study_from
from fedrisk.report.words import _table, cell, sentence, word
from support.texts import parsed

ROOT = Path(fedrisk.__file__).parent


OTHERS = ("trail.py", "books.py", "summary.py", "training_summary.py")
"""Files beside those of audit/ and those with findings that write codes."""


@cache
def trees():
    """{path: syntax tree} of every file that has codes."""
    paths = [
        p
        for p in ROOT.rglob("*.py")
        if p.name in OTHERS or p.parent.name == "audit" or b"Finding(" in p.read_bytes()
    ]
    return {p: parsed(p) for p in paths}


@cache
def modules():
    """{id of a function's tree: tree of the module it is in}."""
    return {
        id(n): tree for tree in trees().values() for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)
    }


def texts(node):
    """String constants below a node."""
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def values_of(node, scope):
    """Codes that an expression may have; a name stands for what is assigned to it in its function, or in its module.

    An f-string gives its constant beginning with a star.
    """
    if isinstance(node, ast.Constant):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return values_of(node.body, scope) | values_of(node.orelse, scope)
    if isinstance(node, ast.JoinedStr):
        first = node.values[0]
        begin = values_of(first.value, scope) if isinstance(first, ast.FormattedValue) else {str(first.value)}
        return {f"{text}.*" if isinstance(first, ast.FormattedValue) else f"{text}*" for text in begin}
    assert isinstance(node, ast.Name), ast.dump(node)
    found = set()
    for n in ast.walk(scope):
        if isinstance(n, ast.Assign) and any(isinstance(t, ast.Name) and t.id == node.id for t in n.targets):
            found |= values_of(n.value, scope)
    if not found and (module := modules().get(id(scope), scope)) is not scope:
        return values_of(node, module)
    assert found, f"where does {node.id} come from?"
    return found


def calls(name):
    """(call, function around it, or module) of every call of that name."""
    for path, tree in trees().items():
        if f"{name}(" not in path.read_text(encoding="utf-8"):
            continue
        scopes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)] or [tree]
        seen = set()
        for scope in [*scopes, tree]:
            for n in ast.walk(scope):
                if isinstance(n, ast.Call) and getattr(n.func, "id", "") == name and id(n) not in seen:
                    seen.add(id(n))
                    yield n, scope


@cache
def finding_codes():
    return sorted(code for call, scope in calls("Finding") for code in values_of(call.args[0], scope))


def actions():
    return [*SHARED, *(action for recipe in RECIPES for action in recipe.actions())]


def disclosures():
    return [d for a in actions() for d in (a.receives, a.sends, a.answers) if d is not None]


def kinds(disclosure):
    """Codes of a disclosure's kind at a bank and at a holder, in a plain and in an out-of-time study."""
    members = [{"name": "b", "role": "bank"}, {"name": "h", "role": "holder"}]
    plain = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1.0}, "institutions": members}
    by_date = {"holdout": {"kind": "out_of_time", "from_date": "2025-01-01"}}
    studies = (study_from(plain), study_from({**plain, **by_date}))
    return {disclosure.kind_in(study, name) for study in studies for name in ("b", "h")}


def known(group, code):
    if code.endswith("*"):
        return any(c.startswith(code[:-1]) for c in _table()[group])
    return code in _table()[group] or code.partition(".")[0] in _table()[group]


def test_the_codes_are_found():
    assert {"gain_between", "card_worthless", "own_below", "rate", "rate_adam", "trails_*", "charged"} <= set(
        finding_codes()
    )
    assert len(actions()) > 15
    assert len({d.kind for d in disclosures()}) > 5
    assert {k for d in disclosures() for k in kinds(d)} > {"pseudonyms", "pseudonyms_and_date_side"}


def test_every_finding_has_words():
    """In one test: to name its cases, every file would be read before the first test, in each process."""
    assert [code for code in finding_codes() if not known("finding", code)] == []


@pytest.mark.parametrize("code", [f"trails_{w}" for w in get_args(get_type_hints(Disagreement)["what"])])
def test_every_disagreement_of_trails_has_words(code):
    assert known("finding", code)


@pytest.mark.parametrize("mode", ["distributed", "silo", "one_trainer"])
def test_every_mode_of_training_has_words(mode):
    assert known("finding", f"mode_{mode}")


def test_every_kind_of_disclosure_has_words():
    for disclosure in disclosures():
        assert all(known("kind", kind) for kind in kinds(disclosure)), disclosure


def test_every_protection_has_words():
    members = [{"name": "b", "role": "bank"}, {"name": "h", "role": "holder"}]
    plain = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1.0}}
    one = study_from({**plain, "institutions": members})
    two = study_from({**plain, "institutions": [*members, {"name": "g", "role": "holder"}]})
    for disclosure in disclosures():
        for study in (one, two):
            for policy in (Policy(), Policy(scores="points"), Policy(scores="bands")):
                assert known("protection", disclosure.protection_in(study, policy)), disclosure


def trail_codes(group):
    """Constants that clients/trail and audit/ write into a field of an entry: in a call, or in a dictionary."""
    for path, tree in trees().items():
        if path.parent.name != "audit" and path.name not in ("trail.py", "books.py"):
            continue
        for n in ast.walk(tree):
            pairs = [(n.arg, n.value)] if isinstance(n, ast.keyword) else []
            if isinstance(n, ast.Dict):
                pairs = [(getattr(k, "value", None), v) for k, v in zip(n.keys, n.values, strict=True)]
            for name, value in pairs:
                if name == group and isinstance(value, ast.Constant | ast.IfExp | ast.JoinedStr):
                    # A constant of books stands for a beginning in both files.
                    yield from values_of(value, ast.Module([tree, *trees().values()], []))


@pytest.mark.parametrize("name", [r.name for r in RECIPES])
def test_every_recipe_has_words(name):
    assert name in _table()["recipe"]


def test_codes_of_the_trail_have_words():
    kinds, protections = set(trail_codes("kind")), set(trail_codes("protection"))
    assert {"refusal", "charged_not_sent.*"} <= kinds
    for group, codes in (("kind", kinds), ("protection", protections)):
        for code in codes - {"", None}:
            assert known(group, code.rstrip("*").rstrip(".")), code


def test_every_release_of_every_plan_has_words():
    banks = [{"name": name, "role": "bank"} for name in ("b1", "b2")]
    holders = [{"name": name, "role": "holder"} for name in ("h1", "h2")]
    plain = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1.0}}
    for recipe in RECIPES:
        members = holders if recipe.name == "encoder" else banks
        sections = {
            "encoder": {"name": "x"},
            "statistics": {"by": ["bank.a"], "measures": [{"kind": "count"}]},
        }
        section = {recipe.name: sections[recipe.name]} if recipe.name in sections else {}
        study = study_from({**plain, "recipe": recipe.name, "institutions": members, **section})
        columns = (
            [Feature(institution="bank", column="a", kind="flag")] if recipe.name == "statistics" else []
        )
        for planned in recipe.plan(study, columns).planned:
            assert known("release", planned.name), (recipe.name, planned.name)
    assert known("release", "edges") and known("release", "external")


def test_sections_columns_and_rows_have_words():
    for path, tree in trees().items():
        if path.name not in ("summary.py", "training_summary.py"):
            continue
        for n in ast.walk(tree):
            if isinstance(n, ast.keyword) and n.arg == "code":
                assert known("section", n.value.value)
            elif isinstance(n, ast.keyword) and n.arg == "columns":
                assert all(known("column", c) for c in texts(n.value))
            elif (
                isinstance(n, ast.Tuple) and len(n.elts) == 2 and isinstance(n.elts[1], ast.Call | ast.IfExp)
            ):
                first = n.elts[0]
                assert not isinstance(first, ast.Constant) or known("row", first.value)


def test_every_text_of_the_language_is_well_formed():
    for group, table in _table().items():
        for code, text in table.items():
            fields = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
            assert all(name.isidentifier() for name in fields), (group, code)
            if group not in ("finding", "kind", "statistics"):
                assert fields == [], (group, code)


# --- asking for words ---------------------------------------------------------------------------------------


def test_details_and_strangers():
    assert (
        word("kind", "charged_not_sent.external") == "charged, not sent (external score of an earlier study)"
    )
    assert word("kind", "noisy_sums.step_3") == "noisy sums (step_3)"
    assert word("kind", "nobody.knows") == "nobody.knows"
    assert word("nothing", "x") == "x"
    assert sentence(Finding("of another version", {"a": 1})) == "of another version"


def test_words_are_never_looked_for_in_a_figure():
    assert sentence(Finding("{evil}", {"evil": "x"})) == "{evil}"
    found = Finding("trails_missing", {"sender": "{x}", "receiver": "b", "kind": "pseudonyms", "sent": 3})
    assert sentence(found) == "{x} to b: pseudonyms sent (entry 3), but b has no entry of it"


def test_cells():
    assert cell(None) == "–"
    assert cell(3) == "3"
    assert cell("learning_rate") == "learning rate"
    assert cell("bank.use") == "bank.use"
    assert cell(Finding("no_noise")) == "none"


def test_what_others_call_series_and_groups_is_a_short_printable_line():
    """Names are another member's text: no escape of a terminal, no second line, no page of them."""
    season = {f"g{k:02d}\x1b[31m\n" + "x" * 99: [1.0] * 12 for k in range(9)}
    text = sentence(Finding("season_stated", {"series": ["s\ra\x07"], "season": season}))
    assert text.isprintable() and len(text) < 500
    assert (
        text.startswith("divides s a  by published") and ", by group (g00" in text and " and 3 more)" in text
    )
    with speaking("zh"):
        year = {"other": [0.82, *[1.0] * 10, 1.21]}
        assert "最低0.82（1月），最高1.21（12月）" in sentence(
            Finding("season_stated", {"series": ["开票额"], "season": year})
        )
