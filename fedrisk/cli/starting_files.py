"""The files that ``fedrisk init`` writes, as texts, and how files of a person are written: never over another one."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedrisk.data.dictionary_rules import FILL_IN
from fedrisk.data.draft.write import CONFIRM, toml
from fedrisk.errors import ConfigError, StoreError
from fedrisk.study_members import HOLDING, WITHOUT_TABLE

_POLICY = """\
[policy]  # what this institution allows; its own machine refuses the rest
purposes = ["credit_scoring"]
recipes = ["scorecard"]  # also "network", "encoder"
max_epsilon = 1.0  # most epsilon of one study
cap_epsilon = 4.0  # of all studies in a year: twelve at epsilon 1
scores = "bands"  # what a bank gets where this institution stands alone behind a score; or "points"
research = false  # a research run has no privacy: never on real data
"""
_BANK = """\
out_of_time = false  # true tells every data holder which of your enterprises have a date after a boundary
"""
_HOLDER = """\
scored_versions = 2  # of an enterprise's score, a bank, a year: with four it knows nearly all bins of your row
consent = true  # scores need a study that names the register of the enterprises' consents
"""
_EXAMPLE = """\
[dictionary]
id = "uscc"  {mark}: the column that names the enterprise
id_scheme = "uscc"  # unified social credit codes with a check character; "opaque" for any other text

# One block for each column. For a table that is there, fedrisk dictionary draft TABLE --institution {file} writes them.
[[dictionary.columns]]
name = "example"
kind = "number"  # or category, flag, date
unit = "yuan"
meaning = "{fill}: what the column says, in words that the other members understand"
low = 0  {mark}: the least that it can be, not the least in the table
high = 1_000_000  {mark}: the most that it can be
grid = "log"  # for amounts and whatever else has a long tail
# bins = [0.5, 1.5, 2.5]  # public edges cost no privacy
# direction = "increasing"  # of the RISK as the value rises, where practice knows it
# special = {{ "-9" = "no record" }}  # codes that say something
# missing_values = [-7]  # codes that only mean that the number is not known
drafted = true  # remove this line once the block is yours
"""
_LABEL = """
[dictionary.label]
column = "defaulted"  {mark}: which column says whether the enterprise defaulted?
positive = [1]
negative = [0]
horizon = "{fill}: over which time, for example 90 days past due within 12 months"
selection = "labels exist for approved borrowers only"
drafted = true  # remove this line once the block is yours
"""


def institution_text(name: str, kind: str, file: Path, table: Sequence[str], dictionary: str | None) -> str:
    """An institution file; ``table``: lines of its ``[table]``; ``dictionary``: its text, None for an example."""
    said = {
        "bank": "a bank: it has labels",
        "holder": "a data holder: it has features and no labels",
        "guarantor": "a guarantee company, which is a data holder: it has features and no labels",
        "bureau": "a credit bureau, which is a data holder: it has features and no labels",
        "authority": "an authority: it keeps the key of the pseudonyms and has no table",
        "regulator": "a regulator: it observes, or keeps the key of the pseudonyms, and has no table",
        "agent": "an agent: it asks for enterprises' own indices, with their consent, and has no table",
    }[kind]
    parts = [
        f"# {said[:1].upper()}{said[1:]}. This file stays on its machine; of what it says, members of a study see\n"
        "# the names, meanings, units, public bins and codes of columns. Every key: fedrisk keys.\n"
        f"name = {toml(name)}\n"
        f'kind = "{kind}"\n'
    ]
    if kind not in WITHOUT_TABLE:
        parts.append("\n".join(table) + "\n")
    parts.append(_POLICY + (_BANK if kind == "bank" else _HOLDER if kind in HOLDING else ""))
    if kind not in WITHOUT_TABLE:
        parts.append(dictionary or example(kind, file))
    return "\n".join(parts)


def example(kind: str, file: Path) -> str:
    """A dictionary to write from, which no study takes as it is."""
    words = {"mark": CONFIRM, "fill": FILL_IN, "file": file}
    return _EXAMPLE.format(**words) + (_LABEL.format(**words) if kind == "bank" else "")


_SERIES = (
    "",
    "# [scorecard]",
    '# memory = "auto"  # for studies that repeat: combine with what earlier ones released, at no further privacy',
)


def study_text(
    name: str,
    purpose: str,
    recipe: str,
    members: Sequence[Mapping[str, str]],
    *,
    epsilon: float,
    consent: str | None = None,
    authority: str | None = None,
    default_rate: float | None = None,
    enterprises: int | None = None,
) -> str:
    """A study file; ``members`` with name, role and, where there is one, display_name."""
    listed = "".join(f"    {toml(member)},\n" for member in members)
    register = 'consent = "register 2026/1"' if consent is None else f"consent = {toml(consent)}"
    keeper = next((m["name"] for m in members if m["role"] != "bank"), members[0]["name"])
    key = f"{'' if authority else '# '}authority = {toml(authority or keeper)}"
    expected = [
        f"{'# ' if value is None else ''}{key} = {example if value is None else value}  # {said}"
        for key, value, example, said in (
            ("default_rate", default_rate, 0.05, "share of defaults, as publicly known or agreed on"),
            ("enterprises", enterprises, 30_000, "of all banks together"),
        )
    ]
    head = f"{'# ' if default_rate is None and enterprises is None else ''}[expected]"
    lines = [
        "# Everything in a study is public among its members. Every key: fedrisk keys study",
        f"name = {toml(name)}",
        f"purpose = {toml(purpose)}  # each institution's policy has to allow it",
        f"recipe = {toml(recipe)}",
        f"{'# ' if consent is None else ''}{register}  # where the enterprises' consents stand; holders may ask for it",
        f"institutions = [\n{listed}]",
        "",
        "[privacy]",
        f"epsilon = {epsilon:g}  # per enterprise and institution, for the whole study: smaller is more private",
        "delta = 1e-6",
        "",
        "[alignment]",
        f"{key}  # who keeps the key of the pseudonyms",
        "",
        "[holdout]",
        "percent = 30  # of the enterprises are kept for evaluation",
        "",
        f"{head}  # declared sizes, from which fedrisk check says what the study can gain",
        *expected,
        *(_SERIES if recipe == "scorecard" else ()),
    ]
    return "\n".join(lines) + "\n"


def write_new(file: Path, text: str, *, force: bool) -> None:
    """Write a file that is not there yet; ConfigError where it is, unless forced; StoreError where that fails."""
    if force and file.exists():
        rewrite(file, text)
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as handle:
            handle.write(text)
    except FileExistsError:
        raise ConfigError(
            f"{file} is there already and stays as it is; --force writes it anew, --to names another file"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{file} cannot be written: {error.strerror}; check folder and permissions"
        ) from None


def read_text(file: Path) -> str:
    """The text of a person's file; ConfigError where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8; save it in that encoding"
        raise ConfigError(f"{file} cannot be read: {why}; check the path") from None


def rewrite(file: Path, text: str) -> None:
    """Write a file that is there in one step, with its permissions; StoreError where that fails."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8")
        shutil.copymode(file, draft)
        os.replace(draft, file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise StoreError(f"{file} cannot be written: {error.strerror}; check space and permissions") from None
