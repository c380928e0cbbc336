"""The page of proofs: as its file says, with assumptions, code and tests that are there."""

import pytest

from fedrisk.conformance.node_ids import exists, source_tree
from fedrisk.conformance.proof import Proofs, load_proofs, page

PROOFS = load_proofs()


def test_the_page_is_what_the_file_says():
    written = (source_tree() / "docs" / "proofs.md").read_text(encoding="utf-8")
    assert written == page(PROOFS), "python -m fedrisk.conformance.proof > docs/proofs.md"


def test_code_and_tests_are_there():
    root = source_tree()
    assert [c for p in PROOFS.proof for c in p.code if not (root / c).is_file()] == []
    assert [t for p in PROOFS.proof for t in p.tests if not exists(root, t)] == []


def test_assumptions_are_named_once_and_used():
    used = {flag for p in PROOFS.proof for flag in p.assumes}
    assert used == PROOFS.flags.keys()
    headings = [p.heading for p in PROOFS.proof]
    assert len(set(headings)) == len(headings)


def test_every_mechanism_has_a_proof():
    """What charges a ledger: each form of release is the code of some proof."""
    proved = {c for p in PROOFS.proof for c in p.code}
    releases = source_tree() / "fedrisk" / "releases"
    forms = {f"fedrisk/releases/{f.name}" for f in releases.glob("*.py") if "Release(" in f.read_text()}
    plans = {f"fedrisk/recipes/{f.parent.name}/plan.py" for f in releases.parent.glob("recipes/*/plan.py")}
    # The plan of a scorecard says which releases there are; their forms are elsewhere.
    assert forms | plans <= proved | {"fedrisk/releases/release.py", "fedrisk/recipes/scorecard/plan.py"}


def test_an_assumption_that_is_not_in_the_table_is_refused():
    with pytest.raises(ValueError, match="no assumption"):
        Proofs.model_validate({**PROOFS.model_dump(), "flags": {}})
