"""The notebook of the documentation: its cells compile and name what is there, and it runs whole."""

import ast
import json
import re
from pathlib import Path

import pytest

import fedrisk

FILE = Path(fedrisk.__file__).parents[1] / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return json.loads(FILE.read_text(encoding="utf-8"))


def test_its_outputs_are_small_and_say_nothing_of_a_machine(notebook):
    kept = json.dumps([c["outputs"] for c in notebook["cells"] if c["cell_type"] == "code"])
    assert "<svg" in kept and "<table" in kept and "Traceback" not in kept
    assert len(kept) < 300_000
    assert not re.search(r"/(?:tmp|home|root|Users)/", kept)


def test_its_cells_name_what_is_there(notebook):
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    assert len(cells) > 10
    used = set()
    for cell in cells:
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "fedrisk"
            ):
                used.add(node.attr)
            if isinstance(node, ast.ImportFrom) and node.module == "fedrisk":
                used |= {alias.name for alias in node.names}
    assert {"run", "check", "Study", "Institution", "ScorecardClassifier", "export_card"} <= used
    assert used <= set(fedrisk.__all__)
    assert all(getattr(fedrisk, name) is not None for name in used)


def test_it_runs(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    content = nbformat.read(FILE, as_version=4)
    NotebookClient(content, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
