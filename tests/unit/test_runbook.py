"""The runbook is as the program is: commands and options exist, and every sentence of hub and node stands in its tables."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import click
import pytest
import typer.main

import fedrisk.errors
from fedrisk.cli import app
from fedrisk.cli.common import ShowFirst
from fedrisk.cli.exits import EXIT_CODES, exit_code

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "consortium.md").read_text(encoding="utf-8")
SOURCES = [
    *(ROOT / "fedrisk/engine").glob("hub_*.py"),
    *(ROOT / "fedrisk/engine").glob("fleet*.py"),
    *(ROOT / "fedrisk/engine").glob("superlink*.py"),
    *(ROOT / "fedrisk/engine" / f"{n}.py" for n in ("claim", "deployment", "public_check")),
    *(ROOT / "fedrisk/deploy").glob("*.py"),
    ROOT / "fedrisk/elliptic/weak_points.py",
    *(ROOT / "fedrisk/cli").glob("hub_*.py"),
    *(ROOT / "fedrisk/cli").glob("node_*.py"),
    ROOT / "fedrisk/cli/compared.py",
    ROOT / "fedrisk/server/score_serve.py",
    *(ROOT / "fedrisk/serving" / f"{n}.py" for n in ("channel", "link", "hub_relay")),
]
SERVING = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
GAP = "…"


def commands(page=PAGE):
    """Every line of a page's examples that calls fedrisk."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    # What is chained, and what a person types inside a sentence.
    parts = [part for line in lines for part in re.split(r"&&|\|", line.partition("  #")[0])]
    inline = re.findall(r"`(fedrisk [a-z][^`]*)`", page.replace("\n", " "))
    # A sentence of the tables is no command.
    inline = [text for text in inline if GAP not in text]
    found = [shlex.split(part.replace("...", "")) for part in [*parts, *inline] if "fedrisk " in part]
    return [words[words.index("fedrisk") + 1 :] for words in found if "fedrisk" in words]


# Pages whose examples are whole commands, without brackets for what may be left out.
OTHERS = ["README.md", *(f"docs/{n}.md" for n in ("index", "models", "bank-report", "card-edit", "exports"))]
OTHERS += [f"docs/{n}.md" for n in ("validation", "model-card", "fairness")]
HOW_TO = [
    c
    for page in [*sorted((ROOT / "docs" / "how-to").glob("*.md")), *(ROOT / n for n in OTHERS)]
    for c in commands(page.read_text("utf-8"))
]


@cache
def tree():
    """All commands, put together once."""
    return typer.main.get_command(app)


@pytest.mark.parametrize(
    "words", [*commands(), *commands(SERVING), *HOW_TO], ids=lambda words: " ".join(words)[:70]
)
def test_a_command_of_the_page_exists_with_its_options(words):
    command: click.Command = tree()
    rest = list(words)
    while isinstance(command, click.Group):
        if isinstance(command, ShowFirst) and rest and rest[0] not in command.commands:
            command = command.commands[command.first]
            continue
        if not rest and command.invoke_without_command:
            break
        assert rest and rest[0] in command.commands, words
        command = command.commands[rest.pop(0)]
    known = {name for param in command.params for name in [*param.opts, *param.secondary_opts]}
    options = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert options <= known | {"--help"}, (words, sorted(options - known))


def test_the_page_has_the_commands_of_every_day():
    called = {" ".join(words[:2]) for words in commands() if words[0] in ("hub", "node")}
    group = tree()
    for name in ("hub", "node"):
        inner = group.commands[name].commands
        assert {f"{name} {c}" for c in inner if not inner[c].hidden} - called <= {
            # What serve starts by itself, and what is for a look alone.
            "hub work",
            "hub roster",
            "hub withdraw",
            "hub check",
            "node check",
            "node refuse",
        }


def rows():
    """(sentence with gaps, exit code) of each row of the tables of errors."""
    found = re.findall(r"^\| `([^`|]+)` \|.*\| (\d+) \|$", PAGE, re.MULTILINE)
    return [(text, int(code)) for text, code in found]


@cache
def sentences():
    """(text with gaps, class, file and line) of every error that hub and node raise themselves."""
    kinds = {
        n: k for n, k in vars(fedrisk.errors).items() if isinstance(k, type) and issubclass(k, BaseException)
    }
    found = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = {
            n.name: n.bases[0].id
            for n in tree.body
            if isinstance(n, ast.ClassDef) and n.bases and isinstance(n.bases[0], ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                kind = kinds.get(own.get(node.func.id, node.func.id))
                text = plain(node.args[0])
                if kind is not None and text:
                    found.append((text, kind, f"{path.name}:{node.lineno}"))
    return found


def plain(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else GAP for v in node.values)
    return ""


def fits(row, text):
    """Whether a sentence begins with the row's words, whatever is filled into the gaps of either."""
    pattern = ".*?".join(
        re.escape(part.strip(" ")) + r"\s*" if part.strip(" ") else "" for part in row.split(GAP)
    )
    return re.match(r"\s*" + pattern.replace(r"\ ", r"\s+"), text) is not None


def test_every_sentence_has_a_row_with_its_exit_code():
    lacking, wrong = [], []
    for text, kind, where in sentences():
        codes = {code for row, code in rows() if fits(row, text)}
        if not codes:
            lacking.append(f"{where} ({kind.__name__}): {text}")
        elif exit_code(kind("x")) not in codes:
            wrong.append(
                f"{where}: {kind.__name__} ends with {exit_code(kind('x'))}, the table says {codes}: {text}"
            )
    assert lacking == [] and wrong == []
    assert len(sentences()) > 50


def test_every_row_is_of_a_sentence_that_there_is():
    everything = " ".join(
        plain(node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant | ast.JoinedStr)
    )
    gone = [
        row
        for row, _ in rows()
        if not any(fits(row, text) for text, _, _ in sentences())
        and not all(part.strip() in everything for part in row.split(GAP))
    ]
    assert gone == []
    assert {code for _, code in rows()} <= EXIT_CODES.keys()
