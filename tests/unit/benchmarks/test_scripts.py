"""Scripts of benchmarks: they take from the package what it has, and say how they are called."""

import ast
from functools import cache
from pathlib import Path

import pytest

from benchmarks.redo.manifest import BENCHMARKS

ROOT = BENCHMARKS.parent
SCRIPTS = sorted(p for p in BENCHMARKS.glob("*/*.py") if p.parent.name != "redo")


@cache
def names_of(module: str) -> frozenset[str] | None:
    """What can be imported from a module of the package, told from its source; None where there is no such module."""
    base = ROOT.joinpath(*module.split("."))
    file = base.with_suffix(".py") if base.with_suffix(".py").is_file() else base / "__init__.py"
    if not file.is_file():
        return frozenset(p.stem for p in base.glob("*.py")) if base.is_dir() else None
    found = set() if file.stem != "__init__" else {p.stem for p in base.iterdir()}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {a.asname or a.name for a in node.names}
    return frozenset(found)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_what_a_script_takes_from_the_package_is_there(script: Path):
    """A name that moved breaks a claim's command, which nobody runs for weeks."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
            "fedrisk",
            "sim_institutions",
        ):
            there = names_of(str(node.module))
            assert there is not None, f"{node.module} is gone"
            assert {a.name for a in node.names} <= there, (node.module, [a.name for a in node.names])


def test_every_script_says_how_it_is_called():
    """Without a parser --help would be taken for a value, or would redo the figures that are kept."""
    callable_ = [p for p in SCRIPTS if 'if __name__ == "__main__":' in p.read_text(encoding="utf-8")]
    assert [p.name for p in callable_ if "ArgumentParser" not in p.read_text(encoding="utf-8")] == []
    assert len(callable_) > 60
