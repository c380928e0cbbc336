"""Imports point one way: every import statement of fedrisk is read and held against the layers."""

import ast
import functools
from pathlib import Path

import pytest

import fedrisk

ROOT = Path(fedrisk.__file__).parent

LAYERS = {
    "errors": set(),
    "files": {"errors"},
    "dictionary": {"errors"},
    "study": {"errors"},
    "metrics": {"errors"},
    "audit": {"errors", "files"},
    "alignment": {"errors"},
    "secure": {"errors"},
    "privacy": {"errors", "study"},  # a policy is checked against a study
    "table_source": {"errors", "dictionary"},
    "table": {
        "errors",
        "dictionary",
        "alignment",
        "table_source",
    },  # ids of a table are brought to their public form
    "models": {"errors", "dictionary", "study", "secure", "privacy", "metrics", "table_source"},
    "institution": {
        *("errors", "files", "dictionary", "study", "privacy", "table", "table_source"),
        "models",  # columns of a trained encoder; torch only once there is one
    },
    "protocol": {"errors"},
    "clients": {
        *("errors", "dictionary", "study", "alignment", "secure", "privacy", "metrics", "table"),
        *("files", "table_source", "institution", "audit", "models", "protocol"),
    },
    "server": {
        *("errors", "dictionary", "study", "alignment", "secure", "privacy", "metrics", "audit"),
        *("files", "institution", "models", "protocol"),  # of the institution's module only the home folder
    },
    "engine": {
        *("errors", "dictionary", "study", "alignment", "secure", "privacy", "metrics", "table"),
        *("institution", "audit", "models", "protocol", "clients", "server"),
    },
    "report": {"errors", "study", "metrics", "models", "server"},
    "cli": {
        *("errors", "study", "institution", "privacy", "audit", "models", "clients", "server"),
        *("engine", "report"),
    },
}
"""What each module or package may import of fedrisk, besides itself."""

FLOWER = {"protocol", "clients", "server", "engine", "cli"}
TORCH = {"models/encoder.py", "models/network.py"}


@functools.cache
def statements(path):
    """(module, names, whether at the top level) of every import statement of a file."""
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.append((alias.name, (), id(node) not in inner))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the whole name"
            found.append((node.module, tuple(a.name for a in node.names), id(node) not in inner))
    return tuple(found)


def modules():
    """(path within fedrisk, part that it belongs to)."""
    for path in sorted(ROOT.rglob("*.py")):
        inside = path.relative_to(ROOT)
        yield path, inside.as_posix(), inside.with_suffix("").parts[0]


def parts_of(module, names):
    """Parts of fedrisk that a statement imports; ``from fedrisk import x`` imports x."""
    words = module.split(".")
    if words[0] != "fedrisk":
        return set()
    return {words[1]} if len(words) > 1 else set(names)


FILES = [pytest.param(path, part, id=inside) for path, inside, part in modules() if inside != "__init__.py"]


def test_the_files_are_found():
    assert {part for _, _, part in modules()} == {*LAYERS, "__init__"}
    assert len(FILES) > 30


def test_the_layers_have_no_cycle():
    """Repeatedly taking away what imports nothing that is left takes away everything."""
    left = {part: set(needs) for part, needs in LAYERS.items()}
    while left:
        free = {part for part, needs in left.items() if not needs & left.keys()}
        assert free, f"a cycle among {sorted(left)}"
        left = {part: needs for part, needs in left.items() if part not in free}


@pytest.mark.parametrize(("path", "part"), FILES)
def test_a_module_imports_only_what_is_left_of_it(path, part):
    needs = set().union(*(parts_of(module, names) for module, names, _ in statements(path)))
    assert needs - {part} <= LAYERS[part]


def test_nodes_and_hub_never_import_each_other():
    assert "server" not in LAYERS["clients"]
    assert "clients" not in LAYERS["server"]


def test_flower_stays_in_its_parts():
    users = {
        part
        for path, _, part in modules()
        for module, _, _ in statements(path)
        if module.split(".")[0] == "flwr"
    }
    assert "protocol" in users
    assert users <= FLOWER


def test_private_names_of_flower_are_used_by_the_grid_alone():
    users = {
        inside
        for path, inside, _ in modules()
        for module, _, _ in statements(path)
        if module.startswith("flwr.")
        and module not in ("flwr.app", "flwr.clientapp", "flwr.serverapp", "flwr.serverapp.strategy")
    }
    assert users == {"engine/grid.py"}


def test_torch_is_never_loaded_with_a_module_of_another_kind():
    users = {
        inside
        for path, inside, _ in modules()
        for module, _, top in statements(path)
        if module.split(".")[0] == "torch" and top
    }
    assert users <= TORCH


def test_simulated_institutions_stay_outside():
    for path, inside, _ in modules():
        assert not any(m.split(".")[0] == "sim_institutions" for m, _, _ in statements(path)), inside


def test_the_package_itself_imports_nothing_of_its_own():
    assert all(not parts_of(module, names) for module, names, _ in statements(ROOT / "__init__.py"))
