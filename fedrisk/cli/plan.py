"""``fedrisk plan``: how a study may spend its budget, tried in simulated studies before anything is released."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.common import AsJson, Institutions, Overrides, StudyFile
from fedrisk.cli.output import note, plain_table, tell, tell_json, tell_table
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.recipes.scorecard.choices import Chosen
    from fedrisk.recipes.scorecard.planner import Expected

Write = Annotated[
    bool,
    typer.Option(
        "--write", help="Write what is chosen to the end of the study's file, for all members to read."
    ),
]


def plan(
    study_file: StudyFile,
    overrides: Overrides = None,
    institutions: Institutions = None,
    write: Write = False,
    as_json: AsJson = False,
) -> None:
    """How a scorecard study may spend: bins, columns, shares of the budget. Takes a minute and spends nothing.

    Choices are tried in simulated studies, on what is declared and known beforehand. What gains is stated in the study
    (--write), so that hub and members plan alike; for a series of studies, once for all of them.
    """
    from fedrisk.api import plan as plan_study
    from fedrisk.recipes.scorecard.choices import toml_of

    chosen = plan_study(study_file, overrides or [], institutions=institutions)
    lines = toml_of(chosen)
    if as_json:
        tell_json(_plain(chosen, lines))
    else:
        _show(chosen, lines)
    if write and lines:
        write_choices(study_file, lines)
        note(_("written to {study_file}; read it, and let the members check it", study_file=study_file))


def write_choices(file: Path, lines: str) -> None:
    """Write the choices into a study's file: at the top of a section that is there, else as one at the end.

    ConfigError, and nothing written, where the file states one of these keys already, or a section in another way.
    """
    from fedrisk.errors import ConfigError
    from fedrisk.toml_file import load_toml

    chosen, there = tomllib.loads(lines), load_toml(file, what="study")
    text = file.read_text(encoding="utf-8")
    for section, keys in chosen.items():
        header = f"[{section}]"
        twice = [key for key in keys if key in there.get(section, {})]
        if twice or "settings" in there or (section in there and header not in text.splitlines()):
            what = (
                f"{section}.{twice[0]}" if twice else _("a section {header} in another form", header=header)
            )
            raise ConfigError(f"{file} has {what} already; write these lines into it by hand:\n{lines}")
        own = _lines_of(lines, header)
        if section in there:
            text = text.replace(f"{header}\n", f"{header}\n# Chosen by fedrisk plan.\n{own}\n", 1)
        else:
            text = f"{text.rstrip()}\n\n{header}\n# Chosen by fedrisk plan.\n{own}\n"
    file.write_text(text, encoding="utf-8")


def _lines_of(lines: str, header: str) -> str:
    """Lines of one section, without its header."""
    rest = lines.split(f"{header}\n", 1)[1]
    return rest.split("\n\n", 1)[0].rstrip()


def _show(chosen: "Chosen", lines: str) -> None:
    table = plain_table(
        "choices in simulated studies", "choice", "gain in AUC", "±", "", right=("gain in AUC", "±")
    )
    for tried in chosen.tried:
        mark = "chosen" if tried.chosen else ""
        table.add_row(tried.choice.name, f"{tried.gain:+.4f}", f"{tried.error:.4f}", mark)
    tell_table(table)
    tell(
        _(
            "each against the study as it is with what was chosen above it, in the same six simulated worlds; "
            "taken is the best of each kind, where it gains .005 and two standard errors, and part of that may be "
            "luck"
        )
    )
    tell(_("expected AUC as the study is: {before}", before=_words(chosen.before)))
    if not lines:
        tell(_("nothing gains as much: leave the study as it is"))
        return
    tell(_("expected AUC as chosen: {after}", after=_words(chosen.after)))
    tell(lines)


def _words(e: "Expected") -> str:
    return _(
        "{auc:.3f}, between {low:.3f} and {high:.3f} in nine of ten simulated studies like it",
        auc=e.auc,
        low=e.low,
        high=e.high,
    )


def _plain(chosen: "Chosen", lines: str) -> dict[str, Any]:
    return {
        "expected": {"before": vars(chosen.before), "after": vars(chosen.after)},
        "tried": [
            {"choice": t.choice.name, "gain": t.gain, "error": t.error, "chosen": t.chosen}
            for t in chosen.tried
        ],
        "study": lines,
    }
