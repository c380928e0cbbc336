"""Imports point one way: every import statement of fedrisk is read and held against the layers, by package and by file."""

import ast
import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import fedrisk

ROOT = Path(fedrisk.__file__).parent

LAYERS = {
    "errors": set(),
    "files": {"errors"},
    "layout": {"errors", "files"},
    "findings": set(),
    "attempt_id": set(),
    "progress": set(),
    "tracebacks": {"errors"},
    "renamed": {"errors"},
    # Where stores lie.
    "home": {"errors"},
    "user": set(),
    "display_name": set(),
    "language": {"errors"},
    # English messages of lower layers, found again by their pattern.
    "language_patterns": {"language"},
    "toml_file": {"errors"},
    "file_rules": {"errors", "toml_file"},
    "study_sections": {"file_rules"},
    "study_members": {"display_name", "study_sections"},
    "study": {
        "errors",
        "files",
        "renamed",
        "toml_file",
        "file_rules",
        "display_name",
        "study_sections",
        "study_members",
    },
    "study_file": {"errors", "study", "toml_file"},
    "metrics": {"errors"},
    "secure": {"errors"},
    "alignment": {"errors", "progress"},
    "audit": {"errors", "files"},
    # Ids of a table are brought to their public form; a feature's institution is a role of a study.
    "data": {"errors", "alignment", "study", "toml_file", "file_rules"},
    # A policy is checked against a study.
    "privacy": {"errors", "files", "study", "study_members", "study_sections", "secure"},
    "releases": {"errors", "files", "findings", "study", "study_members", "data", "secure", "privacy"},
    "models": {
        "errors",
        "files",
        "findings",
        "progress",
        "study",
        "study_members",
        "study_sections",
        "data",
        "secure",
        "metrics",
    },
    # What a bank wants to hear of loans that it watches.
    "watch_rules": set(),
    # Columns of a trained encoder; torch only once there is one.
    "institution": {
        *("errors", "files", "file_rules", "home", "renamed", "watch_rules"),
        *("study", "study_members", "study_sections", "toml_file", "data", "privacy", "models"),
    },
    "protocol": {"errors", "study", "study_members", "data", "secure", "privacy", "releases"},
    # What hub and nodes of a consortium have in common: folders, keys, kits, rosters, logs.
    "deploy": {
        "errors",
        "files",
        "layout",
        "home",
        "file_rules",
        "study_members",
        "study_sections",
        "toml_file",
        "tracebacks",
        "secure",
        "display_name",
    },
    # A card in the forms of other systems, and one table's own card in the clear.
    "exports": {"errors", "study_members", "data", "models"},
    "local": {"study_members", "data", "models", "exports", "user"},
    "recipe": {
        "errors",
        "findings",
        "study",
        "file_rules",
        "study_sections",
        "data",
        "privacy",
        "releases",
        "protocol",
    },
    # Arithmetic on released numbers alone.
    "analysis": {
        "errors",
        "toml_file",
        "releases",
        "study",
        "file_rules",
        "study_members",
        "study_sections",
        "models",
        "privacy",
        "metrics",
    },
    "clients": {
        *(
            "errors",
            "files",
            "layout",
            "findings",
            "study",
            "study_members",
            "study_sections",
            "alignment",
            "secure",
            "audit",
            "data",
            "privacy",
        ),
        *("releases", "models", "institution", "protocol", "recipe", "tracebacks", "user", "attempt_id"),
        *("home", "deploy"),
    },
    "server": {
        *("errors", "files", "layout", "findings", "home", "progress", "deploy", "display_name", "user"),
        *(
            "study",
            "file_rules",
            "study_members",
            "study_sections",
            "alignment",
            "secure",
            "audit",
            "data",
            "privacy",
        ),
        *("releases", "models", "protocol", "recipe", "metrics", "tracebacks", "attempt_id", "analysis"),
    },
    # Models that serve, at institutions; the hub's relay of their questions is server/score_relay.
    "serving": {
        *(
            "language",
            "language_patterns",
            "errors",
            "files",
            "study",
            "file_rules",
            "study_members",
            "study_sections",
            "alignment",
            "secure",
            "audit",
            "privacy",
            "models",
            "data",
        ),
        *("institution", "clients", "toml_file", "deploy", "progress", "protocol", "metrics"),
    },
    # A bank's loans month by month.
    "watching": {
        *("errors", "files", "secure", "data", "models", "toml_file", "institution", "study", "watch_rules"),
        *("clients", "serving", "analysis", "metrics", "alignment"),
    },
    "recipes": {
        *(
            "errors",
            "findings",
            "study",
            "study_file",
            "study_members",
            "study_sections",
            "alignment",
            "secure",
            "data",
            "privacy",
            "metrics",
        ),
        *("releases", "models", "protocol", "recipe", "clients", "server", "serving", "toml_file"),
        *("analysis", "attempt_id", "audit"),
    },
    "study_in_code": {"study", "file_rules", "institution", "recipes", "renamed"},
    "engine": {
        "exports",
        *(
            "errors",
            "files",
            "findings",
            "home",
            "study",
            "file_rules",
            "study_members",
            "alignment",
            "deploy",
            "models",
        ),
        *("audit", "data", "secure", "privacy", "releases"),
        *("institution", "protocol", "recipe", "clients", "server", "recipes", "attempt_id", "toml_file"),
    },
    # The laboratory: attacks on studies between real nodes, and sweeps of studies.
    "attacks": {
        *("alignment", "analysis", "clients", "engine", "errors", "home", "models", "privacy"),
        *("protocol", "recipes", "releases", "secure", "server", "study", "study_members"),
    },
    "lab": {
        *("errors", "files", "home", "toml_file", "tracebacks", "metrics"),
        *(
            "study",
            "file_rules",
            "study_file",
            "study_members",
            "study_sections",
            "institution",
            "data",
            "privacy",
            "releases",
            "alignment",
        ),
        *("models", "local", "clients", "server", "engine", "recipes"),
    },
    # Pages of what follows from released numbers.
    "report": {
        *(
            "errors",
            "language",
            "language_patterns",
            "files",
            "findings",
            "progress",
            "study",
            "study_members",
            "metrics",
            "releases",
            "models",
            "recipe",
            "analysis",
            "privacy",
            "server",
            "lab",
            "toml_file",
            "attacks",
        ),
    },
    # Lists of requirements with the tests that check them, and the proofs; the sheet of a self-check is a page of report.
    "conformance": {"errors", "files", "language", "report", "toml_file"},
    # The public results: those of the hub, with plots and tables.
    "results": {"language", "report", "server"},
    "api": {
        "results",
        "errors",
        "models",
        "attempt_id",
        "institution",
        "recipes",
        "releases",
        "report",
        "server",
        "study",
        "study_file",
        "engine",
    },
    "cli": {
        *("language", "language_patterns", "errors", "files", "layout", "findings", "home", "renamed"),
        *(
            "study",
            "file_rules",
            "study_members",
            "study_sections",
            "institution",
            "data",
            "privacy",
            "audit",
            "deploy",
        ),
        *("models", "exports", "clients", "tracebacks", "progress", "user"),
        *("server", "engine", "report", "recipes", "api", "attempt_id", "toml_file", "serving"),
        *("analysis", "releases", "lab", "attacks", "watching", "watch_rules"),
    },
}
"""What each module or package may import of fedrisk, besides itself."""

ABOVE_RECIPES = {"clients/app.py", "server/app.py", "api.py", "cli/policy.py"}
"""Files that may import the tuple of recipes, besides the engine and the recipes themselves."""

FLOWER = {"protocol", "clients", "server", "engine", "cli"}
TORCH = {"models/encoder.py", "models/network.py"}


def only_for_types(node):
    """Whether a statement is an ``if TYPE_CHECKING`` block."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@dataclass
class Read:
    """What the tests below ask of a file; its syntax tree is not kept."""

    statements: list = field(default_factory=list)
    """(module, names, whether at the top level) of every import statement that is executed."""
    called: set = field(default_factory=set)
    """Names of the functions and methods that are called."""
    asks_recipe: list = field(default_factory=list)
    """Lines that compare a recipe's name with one that there is."""


RECIPES = {"scorecard", "network", "neural", "encoder"}


def about_recipe(node):
    """Whether a comparison asks which recipe it is, by its name."""
    operands = [node.left, *node.comparators]
    about = any(isinstance(o, ast.Attribute) and o.attr == "recipe" for o in operands)
    return about and any(isinstance(o, ast.Constant) and o.value in RECIPES for o in operands)


@functools.cache
def read(path):
    """All of a file in one pass: many rules ask about each of hundreds of files."""
    found = Read()
    # (node, whether in a function, whether only for types)
    left = [(ast.parse(path.read_text(encoding="utf-8")), False, False)]
    while left:
        node, inner, typing = left.pop()
        if isinstance(node, ast.Call):
            f = node.func
            found.called.add(f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", ""))
        elif isinstance(node, ast.Compare) and about_recipe(node):
            found.asks_recipe.append(node.lineno)
        elif isinstance(node, ast.Import) and not typing:
            found.statements += [(alias.name, (), not inner) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not typing:
            assert node.level == 0, f"{path} imports relatively; write the whole name"
            found.statements.append((node.module, tuple(a.name for a in node.names), not inner))
        inner = inner or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        typing = typing or only_for_types(node)
        left += [(child, inner, typing) for child in ast.iter_child_nodes(node)]
    return found


def statements(path):
    """(module, names, whether at the top level) of every import statement of a file that is executed."""
    return read(path).statements


@functools.cache
def modules():
    """(path, path within fedrisk, part that it belongs to)."""
    paths = [(path, path.relative_to(ROOT)) for path in sorted(ROOT.rglob("*.py"))]
    return [(path, inside.as_posix(), inside.with_suffix("").parts[0]) for path, inside in paths]


def parts_of(module, names):
    """Parts of fedrisk that a statement imports; ``from fedrisk import x`` imports x."""
    words = module.split(".")
    if words[0] != "fedrisk":
        return set()
    return {words[1]} if len(words) > 1 else set(names)


@functools.cache
def files_of(module, names):
    """Files of fedrisk that a statement imports, as paths within it."""
    if module.split(".")[0] != "fedrisk":
        return set()
    base = ROOT.joinpath(*module.split(".")[1:])
    candidates = [base.with_suffix(".py"), *(base / f"{name}.py" for name in names)]
    candidates += [base / name / "__init__.py" for name in names] + [base / "__init__.py"]
    return {p.relative_to(ROOT).as_posix() for p in candidates if p.is_file()}


def test_the_files_are_found():
    assert {part for _, _, part in modules()} == {*LAYERS, "__init__"}
    assert len(modules()) > 100


def test_the_map_of_the_architecture_is_complete():
    """docs/architecture.md names every module and package, in an order in which each imports what stands above it."""
    text = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    place = {part: k for k, row in enumerate(rows) for part in re.findall(r"`(\w+)(?:\.py|/)`", row)}
    assert LAYERS.keys() <= place.keys()
    assert not [
        (part, need) for part, needs in LAYERS.items() for need in needs if place[need] >= place[part]
    ]


def test_the_layers_have_no_cycle():
    """Repeatedly taking away what imports nothing that is left takes away everything.

    ``clients/app`` and ``server/app`` are above the recipes, the rest of their packages below; see the next test.
    """
    left = {part: set(needs) for part, needs in LAYERS.items()}
    while left:
        free = {part for part, needs in left.items() if not needs & left.keys()}
        assert free, f"a cycle among {sorted(left)}"
        left = {part: needs for part, needs in left.items() if part not in free}


def test_a_module_imports_only_what_is_below_it():
    """In one test for all files: to name its cases, every process would look for them before the first test."""
    wrong = {}
    for path, inside, part in modules():
        if inside == "__init__.py":
            continue
        needs = set().union(*(parts_of(module, names) for module, names, _ in statements(path)))
        allowed = LAYERS[part] | ({"recipes"} if inside in ABOVE_RECIPES else set())
        if not needs - {part} <= allowed:
            wrong[inside] = needs - {part} - allowed
    assert wrong == {}


def test_every_layer_that_is_allowed_is_used():
    used = {part: set() for part in LAYERS}
    for path, inside, part in modules():
        if inside != "__init__.py":
            used[part] |= {p for module, names, _ in statements(path) for p in parts_of(module, names)}
    assert {part: needs - used[part] for part, needs in LAYERS.items() if needs - used[part]} == {}


def test_no_circle_of_files():
    """Statements at the top level only: what is imported inside a function is imported when that is called."""
    left = {}
    for path, inside, _ in modules():
        needs = set()
        for module, names, top in statements(path):
            if top:
                needs |= files_of(module, names)
        # A package's __init__ is executed before its modules; importing it is no arrow of its own.
        left[inside] = {n for n in needs if not n.endswith("__init__.py")} - {inside}
    while left:
        free = {file for file, needs in left.items() if not needs & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {file: needs for file, needs in left.items() if file not in free}


def test_nodes_and_hub_never_import_each_other():
    assert "server" not in LAYERS["clients"]
    assert "clients" not in LAYERS["server"]
    for path, inside, part in modules():
        if part != "recipes":
            continue
        needs = set().union(*(parts_of(m, names) for m, names, top in statements(path) if top))
        side = Path(inside).stem
        if "server" in needs:
            assert "clients" not in needs, inside
        if side in ("settings", "plan", "__init__"):
            assert not needs & {"clients", "server"}, inside


def test_a_recipe_imports_no_other_recipe():
    """Recipes are folders; a module beside them is what several share."""
    recipes = {
        Path(inside).parts[1] for _, inside, part in modules() if part == "recipes" and inside.count("/") > 1
    }
    assert {"scorecard", "network", "encoder"} <= recipes
    for path, inside, part in modules():
        place = Path(inside).parts
        if part != "recipes" or len(place) < 3:
            continue
        others = {
            module.split(".")[2]
            for module, _, _ in statements(path)
            if module.startswith("fedrisk.recipes.") and len(module.split(".")) > 2
        } & (recipes - {place[1]})
        # A network is held against a scorecard with its default settings.
        assert others <= ({"scorecard"} if inside == "recipes/network/baselines.py" else set()), inside


def test_settings_and_plans_of_recipes_load_neither_flower_nor_torch():
    for path, inside, part in modules():
        if part == "recipes" and Path(inside).stem in ("settings", "plan", "__init__"):
            loaded = {module.split(".")[0] for module, _, _ in statements(path)}
            assert not loaded & {"flwr", "torch", "opacus"}, inside


def test_the_outlet_is_the_only_door():
    """Nothing else draws noise or pays for a release, and nothing else makes the outlet's noise."""
    for path, inside, part in modules():
        if inside == "clients/outlet.py":
            continue
        noise = {m for m, names, _ in statements(path) if m == "fedrisk.privacy.noise" or "noise" in names}
        assert not noise or inside.startswith("privacy/"), inside
        if part != "privacy":
            assert "debit" not in read(path).called or inside == "clients/align.py", inside
            assert "Noise" not in read(path).called, inside


def test_the_authority_debits_its_quota_and_no_ledger():
    """``clients/align`` is the exception above: it debits the quota of evaluated ids, which is no privacy budget."""
    text = (ROOT / "clients" / "align.py").read_text(encoding="utf-8")
    assert "quota.debit(" in text
    assert "ledger" not in text


def test_protections_are_switched_off_by_attacks_alone():
    """Nothing that runs studies can import what switches protections off, or any attack."""
    for path, inside, part in modules():
        for module, names, _ in statements(path):
            whole = {module, *(f"{module}.{name}" for name in names)}
            if part != "attacks":
                assert "fedrisk.attacks.controls" not in whole, inside
            if part not in ("attacks", "cli", "report"):
                assert not any(name.startswith("fedrisk.attacks") for name in whole), inside


def test_no_file_outside_the_recipes_asks_which_recipe_it_is():
    """Comparing with a recipe's name is for the recipes; everything else asks the Recipe."""
    asked = {inside: read(path).asks_recipe for path, inside, part in modules() if part != "recipes"}
    assert {inside: lines for inside, lines in asked.items() if lines} == {}


def test_flower_stays_in_its_parts():
    users = {
        part
        for path, _, part in modules()
        for module, _, _ in statements(path)
        if module.split(".")[0] == "flwr"
    }
    assert "protocol" in users
    assert users <= FLOWER


PUBLIC_NAMES = {
    *("flwr.app", "flwr.clientapp", "flwr.clientapp.typing", "flwr.serverapp", "flwr.serverapp.strategy"),
}
PRIVATE_NAMES = {
    *("engine/in_process_grid.py", "engine/streamed_grid.py"),
    *("engine/superlink.py", "engine/superlink_clients.py", "engine/superlink_runs.py"),
    "engine/superlink_nodes.py",
    *("engine/fleet.py", "engine/fleet_objects.py"),
}
"""Files that may use names which are private to Flower; each has a contract test."""


def test_private_names_of_flower_are_used_by_the_grids_alone():
    users = {
        inside
        for path, inside, _ in modules()
        for module, _, _ in statements(path)
        if module.startswith("flwr.") and module not in PUBLIC_NAMES
    }
    assert users <= PRIVATE_NAMES


def test_torch_is_never_loaded_with_a_module_of_another_kind():
    users = {
        inside
        for path, inside, _ in modules()
        for module, _, top in statements(path)
        if module.split(".")[0] == "torch" and top
    }
    assert users <= TORCH


def loaded_by(inside):
    """Files that are loaded with one, as statements at the top level say."""
    found, left = set(), {inside}
    while left:
        found |= left
        left = {
            f for one in left for m, names, top in statements(ROOT / one) if top for f in files_of(m, names)
        } - found
    return found


@pytest.mark.parametrize(
    "start", ["clients/app.py", "server/app.py", "engine/in_process.py", "engine/deployment.py"]
)
def test_what_starts_a_process_loads_no_scipy_stats(start):
    """A sixth of what hub and nodes need until they are there, and 22 MB; its functions are in scipy.special as well."""
    files = loaded_by(start)
    assert len(files) > 60
    assert [
        f for f in files for m, _, top in statements(ROOT / f) if top and m.startswith("scipy.stats")
    ] == []


def test_simulated_institutions_stay_outside():
    for path, inside, _ in modules():
        assert not any(m.split(".")[0] == "sim_institutions" for m, _, _ in statements(path)), inside


def test_the_package_itself_imports_nothing_of_its_own():
    assert all(not parts_of(module, names) for module, names, _ in statements(ROOT / "__init__.py"))
