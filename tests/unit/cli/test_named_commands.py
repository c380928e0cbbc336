"""Every command that a text names can be typed as it stands there: in errors, notes, starting files and on the pages.

A mention with an argument or an option behind it is a call, and has to be whole; a bare name has to exist.
"""

import ast
import re
import tomllib
from pathlib import Path

import click
import pytest
import typer

from fedrisk.cli import app
from fedrisk.cli.common import ShowFirst

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "sim_institutions" / "README.md"]
CALL = re.compile(r"(?<![\w./{@-])(.?)\bfedrisk ([a-z]+\b[^\n`;#&>]*)")
WORD = re.compile(r"""'[^'\s]*=[^']*'|"[^"]*"|[^\s'"]+""")
BRACKETS = re.compile(r"(?<=\s)\[([^\]\"]*)\]")
OPEN = "§"
"""Stands for what an f-string puts in."""
ARGUMENT = re.compile(
    rf"[A-Z][A-Z_]*|\S*[{OPEN}/=]\S*|\S+\.(?:toml|csv|parquet|json)|[0-9a-f]{{8}}|\"[^\"]*\"|'.*'"
)
MAIN = typer.main.get_command(app)


def texts_of(tree):
    """All texts of a Python file, with what is put into them as `OPEN`; docstrings too."""
    inner = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inner.update(map(id, node.values))
            yield "".join(v.value if isinstance(v, ast.Constant) else OPEN for v in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def texts():
    for file in sorted((ROOT / "fedrisk").rglob("*.py")):
        for text in texts_of(ast.parse(file.read_text(encoding="utf-8"))):
            yield file.relative_to(ROOT), text
    for file in sorted((ROOT / "fedrisk").rglob("*.toml")):
        content = file.read_text(encoding="utf-8")
        tomllib.loads(content)
        yield file.relative_to(ROOT), content
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        # A line of a block, and a piece of code within a sentence.
        for block in re.findall(r"^```sh\n(.*?)^```", content, re.MULTILINE | re.DOTALL):
            yield page.relative_to(ROOT), block
        for piece in re.findall(r"`(fedrisk [^`]*)`", re.sub(r"^```.*?^```", "", content, flags=re.M | re.S)):
            yield page.relative_to(ROOT), re.sub(r"\s+", " ", piece)


def calls():
    for place, text in texts():
        for before, line in CALL.findall(re.sub(r"\{\w+\}", OPEN, text)):
            # Elsewhere the name begins a sentence: fedrisk knows, fedrisk reads.
            if before in ("`", "'") or line.split()[0].split("|")[0] in MAIN.commands:
                yield str(place), line.strip()


def words_of(line):
    """The words of a call, up to the prose behind it; what stands in brackets may be there, and is."""
    words = WORD.findall(BRACKETS.sub(r" \1 ", line.replace("[OPTIONS]", "")))
    return [w if w[0] in "\"'" else w.rstrip(".,:()'") for w in words if w.rstrip(".,:()'\"")]


def wrong(line):
    """What is wrong with the call, or None. The first of several words with | between them stands for all."""
    words = words_of(line)
    command, names = MAIN, []
    while isinstance(command, click.Group):
        choices = words[0].split("|") if words else []
        if choices and all(c in command.commands for c in choices):
            command = command.commands[choices[0]]
            names.append(words.pop(0))
        elif isinstance(command, ShowFirst) and words and ARGUMENT.fullmatch(words[0]):
            command = command.commands[command.first]
        elif names and getattr(command, "invoke_without_command", False):
            break
        elif names:
            return None if not words or not words[0].startswith("--") else f"{names}: which command?"
        else:
            return f"no command {words[:1]}"
    return wrong_call(command, words)


def wrong_call(command, words):
    options = {
        name: p
        for p in command.params
        if isinstance(p, click.Option)
        for name in (*p.opts, *p.secondary_opts)
    }
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    choices = [set(p.type.choices) if isinstance(p.type, click.Choice) else set() for p in arguments]
    given, positional = set(), 0
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            name = word.split("=")[0]
            if name not in options:
                return f"no option {name}"
            given.add(options[name].name)
            if not options[name].is_flag and "=" not in word and words:
                words.pop(0)
        elif ARGUMENT.fullmatch(word) or any(set(word.split("|")) <= c for c in choices):
            positional += 1
        elif not names_things(command, word, positional):
            break
        else:
            positional += 1
    if not given and not positional:
        return None
    lacking = {p.opts[0] for p in options.values() if p.required and p.name not in given}
    if lacking:
        return f"without {sorted(lacking)}"
    needed = sum(p.required for p in arguments)
    most = float("inf") if any(p.nargs == -1 for p in arguments) else len(arguments)
    return None if needed <= positional <= most else f"{positional} arguments"


def names_things(command, word, place):
    """Whether the argument at this place is a plain word of the person's: a name, a key, a column."""
    plain = {
        "bank": 0,
        "holder": 0,
        "authority": 0,
        "keys": 0,
        "declare": 1,
        "quota": 1,
        "score": 1,
        "ask": 1,
        "approve": 1,
        "deploy": 1,
        "hand-out": 1,
    }
    if command.name in ("index", "acknowledge", "close"):
        # Ids of models, enterprises and alerts.
        return place in (1, 2) and word.isalnum()
    if command.name == "run":
        return place == 1 and word == "champion"
    return plain.get(command.name) == place and word.isidentifier()


def test_every_command_that_a_text_names_can_be_typed():
    found = sorted({(place, line) for place, line in calls()})
    assert len(found) > 150
    bad = [f"{place}: fedrisk {line}: {why}" for place, line in found if (why := wrong(line)) is not None]
    assert not bad, "\n" + "\n".join(bad)


@pytest.mark.parametrize(
    "line",
    [
        "audit restore FILE --reason TEXT",
        "budget grant --epsilon 1",
        "budgets FILE",
        "results FILE fetch ATTEMPT --now",
        "run study.toml",
        "audit --last 3",
        "quota A B C",
    ],
)
def test_a_call_that_would_fail_is_found(line):
    assert wrong(line) is not None


@pytest.mark.parametrize(
    "line",
    [
        "check shows what it costs",
        "budget INSTITUTION --json",
        "results BANK list|show",
        "run s.toml --out DIR and more",
    ],
)
def test_a_call_that_works_is_none(line):
    assert wrong(line) is None
