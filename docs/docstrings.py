"""Docstrings of the house as the reference shows them: an extension of griffe, which reads them for mkdocstrings.

Docstrings are prose: "study: path of a study file. out: folder for results." On the site each name of a parameter
or attribute becomes a line of a list, "Errors:" is set off, and doctests are code.
"""

import re

import griffe

ROLE = re.compile(r":\w+:`~?([^`]+)`")
DOCTEST = re.compile(r"(?m)^>>> .*(?:\n(?!\n).+)*")


class Prose(griffe.Extension):
    """Rewrite docstrings of functions and classes as sections of the Google style."""

    def on_function_instance(self, *, func: griffe.Function, **_: object) -> None:
        """Names of a function are its parameters."""
        if func.docstring is not None:
            names = {parameter.name for parameter in func.parameters}
            func.docstring.value = rewritten(func.docstring.value, names, "Args")

    def on_class_members(self, *, cls: griffe.Class, **_: object) -> None:
        """Names of a class are its attributes, and what makes it."""
        if cls.docstring is not None:
            made = cls.members.get("__init__")
            names = {n for n, m in cls.members.items() if m.is_attribute}
            names |= {p.name for p in made.parameters} if isinstance(made, griffe.Function) else set()
            cls.docstring.value = rewritten(cls.docstring.value, names, "Attributes")


def rewritten(text: str, names: set[str], section: str) -> str:
    r"""A docstring with what it says of each name in a section of its own.

    >>> print(rewritten("Run. study: its file.\n\nErrors: StoreError where it is full.", {"study"}, "Args"))
    Run.
    <BLANKLINE>
    Args:
        study: its file.
    <BLANKLINE>
    **Errors:** StoreError where it is full.
    """
    text = DOCTEST.sub(lambda code: f"```pycon\n{code[0]}\n```", ROLE.sub(r"`\1`", text))
    prose, said, errors = list[str](), list[str](), list[str]()
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.startswith("```"):
            prose.append(paragraph)
            continue
        before, *parts = _cut(paragraph, names)
        if before.startswith("Errors: "):
            errors.append(f"**Errors:** {before.removeprefix('Errors: ').strip()}")
        elif before.strip():
            prose.append(before.strip())
        said += [f"    {name}: {' '.join(what.split())}" for name, what in parts]
    listed = [f"{section}:\n" + "\n".join(said)] if said else []
    return "\n\n".join([*prose, *listed, *errors])


def _cut(paragraph: str, names: set[str]) -> list:
    """What stands before the first name, then (names, what is said of them) for each."""
    any_name = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    if not any_name:
        return [paragraph]
    one = rf"[`*]*(?:{any_name})[`*]*"
    found = list(
        re.finditer(rf"(?:^|(?<=[.;)] )|(?<=[.;)]\n))((?:{one})(?:(?:, | and ){one})*): ", paragraph)
    )
    ends = [*(m.start() for m in found[1:]), len(paragraph)]
    parts = (
        [(m[1].strip("`"), paragraph[m.end() : end]) for m, end in zip(found, ends, strict=True)]
        if found
        else []
    )
    return [paragraph[: found[0].start()] if found else paragraph, *parts]
