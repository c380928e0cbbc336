"""Every text that the package says to people, as its catalogues have to have them.

``PYTHONPATH=tests python -m support.texts zh`` prints what has no translation, as entries of a ``.po`` file.
"""

import ast
import inspect
import sys
import tomllib
from functools import cache
from pathlib import Path

from jinja2 import Environment

import fedrisk
from fedrisk.attacks.registry import attacks
from fedrisk.language import catalogue

ROOT = Path(fedrisk.__file__).parent
CALLS = {"_": 1, "N_": 1, "of_kind": 2, "either": 2}
"""Functions of fedrisk.language that translate, with the number of their texts."""


@cache
def parsed(path):
    """Syntax tree of a Python file of the package; kept, since several look for texts of theirs."""
    return ast.parse(path.read_text(encoding="utf-8"))


def of_python():
    """{(kind, text): file} of every call in a Python file whose texts are literals."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "fedrisk.language" not in source:
            continue
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS):
                continue
            texts = [a.value for a in node.args[: CALLS[node.func.id]] if isinstance(a, ast.Constant)]
            if node.func.id == "of_kind" and len(texts) == 2:
                found[(texts[0], texts[1])] = path
            elif node.func.id != "of_kind" and texts:
                found[("", texts[0])] = path
    return found


TABLES = {"plain_table", "_table"}
"""Functions that translate the headings which they are given."""

HEADINGS = {"columns", "column", "figures", "numbers", "right", "head", "SUMS", "LEAST"}
"""Names of variables whose texts become headings."""


def of_headings():
    """{(kind, text): file} of headings of tables on the screen."""
    found = {}
    for path in sorted(p for folder in ("cli", "report") for p in (ROOT / folder).glob("*.py")):
        for node in ast.walk(parsed(path)):
            for text in _headings(node):
                if any(c.isalpha() for c in text):
                    found[("heading", text)] = path
    return found


def _headings(node):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TABLES:
        among = node.args
    elif isinstance(node, ast.Assign | ast.For):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        named = isinstance(target, ast.Name) and target.id.strip("_") in HEADINGS
        content = node.value if isinstance(node, ast.Assign) else node.iter
        keys = content.keys if named and isinstance(content, ast.Dict) and target.id == "LEAST" else []
        among = getattr(content, "elts", keys) if named else []
    else:
        among = []
    return [a.value for a in among if isinstance(a, ast.Constant) and isinstance(a.value, str)]


def of_templates():
    """{(kind, text): file} of every text of the pages."""
    found, environment = {}, Environment(extensions=["jinja2.ext.i18n"])
    for path in sorted((ROOT / "report" / "templates").glob("*.jinja")):
        for _, name, texts in environment.extract_translations(path.read_text(encoding="utf-8")):
            if name == "pgettext" and texts[1] is None:
                continue  # of a value, whose text is found elsewhere
            if name == "pgettext":
                found[(texts[0], texts[1])] = path
            else:
                found[("", texts if isinstance(texts, str) else texts[0])] = path
    return found


def of_codes():
    """{(kind, text): file} of the words for codes; their group is their kind."""
    path = ROOT / "report" / "words" / "en.toml"
    groups = tomllib.loads(path.read_text(encoding="utf-8"))
    return {(f"word {group}", text): path for group, texts in groups.items() for text in texts.values()}


def of_attacks():
    """{(kind, text): file} of what attacks say of themselves."""
    return {
        ("attack", text): Path(inspect.getfile(attack.run))
        for attack in attacks().values()
        for text in attack.texts
    }


@cache
def every():
    return {**of_python(), **of_headings(), **of_templates(), **of_codes(), **of_attacks()}


def missing(code):
    there = catalogue(code)
    return {key: path for key, path in every().items() if key not in there}


def as_po(texts):
    def quoted(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    lines = []
    for (kind, text), path in texts.items():
        lines.append(f"#: {path.relative_to(ROOT.parent)}")
        if kind:
            lines.append(f"msgctxt {quoted(kind)}")
        lines += [f"msgid {quoted(text)}", 'msgstr ""', ""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(as_po(missing(sys.argv[1])))
