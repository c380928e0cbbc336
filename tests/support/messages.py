"""English messages of lower layers, read from the source: texts of errors, and reasons that functions return.

``{(kind, text): file}`` with every value as ``{name}``, as a catalogue has them and fedrisk.language_patterns finds them.
``PYTHONPATH=tests:. python -m support.messages zh`` prints what has no translation yet, by package.
"""

import ast
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import fedrisk
from fedrisk.language import catalogue
from fedrisk.language_patterns import KIND, LEAST_LETTERS
from support.texts import parsed

ROOT = Path(fedrisk.__file__).parent
TRANSLATES = {
    "_",
    "N_",
    "of_kind",
    "either",
    "Finding",
    "Option",
    "Argument",
    "execute",
    "einsum",
    "compile",
    "getLogger",
}
SAYS = {"append", "warn", "note", "Check", "_check"}
"""Functions of lower layers whose arguments people read."""

PROGRAMS = {
    "NotImplementedError",
    "AttributeError",
    "AssertionError",
    "TypeError",
    "KeyError",
    "RuntimeError",
}
"""Errors of a programmer's mistakes, which people do not read."""

WITHOUT = {"languages", "protocol", "report", "language.py", "language_patterns.py"} | {
    *("exports/sql.py", "exports/sql_dialects.py", "exports/python_file.py", "exports/pmml.py"),
    *("data/draft/write.py", "deploy/health.py"),
    *("serving/http.py", "serving/http_forms.py", "serving/page_words.py"),
}
"""Where only what is raised is read: the rest is words for codes, pages, files, and messages between programs."""


@cache
def of_messages():
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        within = path.relative_to(ROOT)
        lower = WITHOUT.isdisjoint({within.parts[0], within.as_posix()}) and within.parts[0] != "cli"
        for node, words in _said(parsed(path), lower=lower):
            if _words(node) >= words and (text := template(node)):
                found[(KIND, text)] = path
    return found


def _said(node, *, lower, said=False, words=0, inside=False):
    """Texts that an error, or a function's answer, says, each with the words that it has at least; outermost first."""
    if isinstance(node, ast.Raise):
        # What is raised from another error is not said.
        if node.exc is not None and _raises(node) not in PROGRAMS:
            yield from _said(node.exc, lower=lower, said=True, inside=inside)
        return
    if said and (
        isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    ):
        yield node, words
    for field, child in _children(node):
        here, least = said, words
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in TRANSLATES:
                return
            here = said or (
                lower and field == "args" and (name in SAYS or name.startswith(("_refuse", "_need")))
            )
        elif isinstance(node, ast.Subscript) and field == "slice":
            here = False
        elif lower and isinstance(node, ast.Return | ast.Yield | ast.Assign | ast.AnnAssign):
            here, least = field == "value", words if inside else LEAST_WORDS
        elif isinstance(node, ast.JoinedStr):
            # Parts of a text are no texts; what is put into it may hold some.
            if isinstance(child, ast.Constant):
                continue
        elif isinstance(node, ast.FormattedValue) and field == "format_spec":
            continue
        within = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _said(child, lower=lower, said=here, words=least, inside=within)


def _children(node):
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else (value,):
            if isinstance(child, ast.AST):
                yield field, child


LEAST_WORDS = 5
"""Words of a module's constant that is taken for a sentence, and not for a query or a name."""


NO_SENTENCE = re.compile(
    r"^\s*(select .* from|create .*(index|table)|insert (or \w+ )?into|update \w+ set|delete from|pragma) "
    r"|^import |^\[project\]|\w\|[\w{]|<tr>"
)
"""Queries, patterns, programs, and tables of pages."""


def _words(node):
    parts = [node] if isinstance(node, ast.Constant) else node.values
    text = " ".join(part.value for part in parts if isinstance(part, ast.Constant))
    return -1 if NO_SENTENCE.search(text.lower()) else len(text.split())


def _raises(node):
    called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")


def template(node):
    """The text with its values as ``{name}``; None where it is too short to be told from others."""
    if isinstance(node, ast.Constant):
        text, fixed = _escaped(node.value), node.value
        return text if len(re.findall(r"[A-Za-z']{2,}", fixed)) >= 2 and " " in fixed.strip() else None
    text, fixed, values = "", "", {}
    for part in node.values:
        if isinstance(part, ast.Constant):
            text, fixed = text + _escaped(part.value), fixed + part.value
            continue
        source = ast.unparse(part.value)
        base = "plural" if _is_plural(part.value) else _name(part.value)
        name, number = base, 2
        while values.get(name, source) != source:
            name, number = f"{base}{number}", number + 1
        values[name] = source
        text += "{" + name + "}"
    return text if sum(c.isalpha() for c in fixed) >= LEAST_LETTERS and " " in fixed.strip() else None


def _is_plural(value):
    """Whether a value is the ending of a word, as ``'s' if n > 1 else ''``; a translation may leave it out."""
    texts = [n.value for n in ast.walk(value) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return bool(texts) and set(texts) <= {"", "s", "y", "ies", "es"}


def _escaped(text):
    return text.replace("{", "{{").replace("}", "}}")


def _name(value):
    """A name for a value: the last word of what it is."""
    words = re.findall(r"[a-z_]+[a-z]", re.sub(r"'[^']*'|\"[^\"]*\"", "", ast.unparse(value)).lower())
    words = [
        w.strip("_")
        for w in words
        if w not in ("len", "join", "sorted", "str", "for", "in", "if", "else", "self")
    ]
    return next((w for w in reversed(words) if w.isidentifier()), "value")


def missing(code):
    there = catalogue(code)
    return {key: path for key, path in of_messages().items() if key not in there}


if __name__ == "__main__":
    all_of, left = of_messages(), missing(sys.argv[1])
    count = Counter(path.relative_to(ROOT).parts[0] for path in all_of.values())
    lacking = Counter(path.relative_to(ROOT).parts[0] for path in left.values())
    for part, number in sorted(count.items()):
        print(f"{part}: {number - lacking[part]} of {number}")
    print(f"together: {len(all_of) - len(left)} of {len(all_of)}")
