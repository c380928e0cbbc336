"""``fedrisk report validation``: the pack for a bank's independent validator, on its rows or on released numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import AsJson, PageLanguage
from fedrisk.cli.output import note, plain_table, tell, tell_json, tell_table
from fedrisk.cli.report import Out, report_app
from fedrisk.language import _, speaking

if TYPE_CHECKING:
    from fedrisk.analysis.validation.evidence import Evidence
    from fedrisk.analysis.validation.pack import Pack
    from fedrisk.analysis.validation.rules import ValidationRules

File = Annotated[
    Path | None,
    typer.Argument(
        help="The bank's own file (TOML), for example institutions/bank.toml.", show_default=False
    ),
]
Attempt = Annotated[
    str | None,
    typer.Argument(
        help="Which attempt at a study, for example 1f3a9c02; default: the last one.", show_default=False
    ),
]
Of = Annotated[
    str | None,
    typer.Option(
        "--of",
        help="In place of a bank's file: a run of this hub (attempt, or its first letters) or a folder of results, "
        "validated on released numbers alone, for example results/may.",
        show_default=False,
    ),
]
Rules = Annotated[
    Path | None,
    typer.Option(
        "--rules",
        help="Master scale, levels and limits (TOML), for example rules/validation.toml; docs/validation.md has "
        "its keys.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model", help="Which model: shared, or one of the bank's own, for example recalibrated or champion."
    ),
]
OverridesFile = Annotated[
    Path | None,
    typer.Option(
        "--overrides",
        help="CSV file with the columns id and grade, the grade after a person's look, for example overrides.csv.",
    ),
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record",
        help="The study's release record, where the bank has it, for the errors of the calibration, for example "
        "results/may/release_record.npz.",
    ),
]


@report_app.command("validation")
def validation(
    institution: File = None,
    attempt: Attempt = None,
    of: Of = None,
    out: Out = None,
    rules: Rules = None,
    model: Model = "shared",
    overrides: OverridesFile = None,
    record: Record = None,
    language: PageLanguage = None,
    as_json: AsJson = False,
) -> None:
    """Validation of a model: calibration by grade, discrimination, stability, bounds and margins, with traffic lights.

    At a bank on its own rows: the page has exact figures of the bank, and stays there. With --of on the released
    numbers of a study, each test corrected for their noise. Writes validation.html and validation.json.
    """
    from fedrisk.analysis.validation.pack import validate
    from fedrisk.analysis.validation.rules import load_rules
    from fedrisk.report.validation import write_validation

    if (institution is None) == (of is None):
        raise typer.BadParameter(
            "give a bank's file, or --of with the results of a study", param_hint="INSTITUTION"
        )
    stated = load_rules(rules)
    if institution is not None:
        evidence = _own(institution, attempt, stated, model, overrides, record)
    else:
        evidence = _released(of or "", attempt, model, overrides)
    pack = validate(evidence, stated)
    with speaking(language):
        written = write_validation(pack, out or Path("validation"))
        if as_json:
            tell_json({"files": [str(path) for path in written], **pack.to_dict()})
            return
        _show(pack)
        for path in written:
            note(_("written: {path}", path=path))


def _own(
    institution: Path,
    attempt: str | None,
    rules: "ValidationRules",
    model: str,
    overrides: Path | None,
    record: Path | None,
) -> "Evidence":
    from dataclasses import replace

    from fedrisk.analysis.validation.released import errors_of
    from fedrisk.analysis.validation.rows import row_evidence
    from fedrisk.api import load_record
    from fedrisk.clients import own_results
    from fedrisk.clients.node import Node
    from fedrisk.clients.own_results import IN_ENGLISH
    from fedrisk.clients.own_rows import own_rows
    from fedrisk.clients.validation_rows import validation_rows
    from fedrisk.errors import ConfigError

    node = Node.load(institution)
    entry = own_results.find(node, attempt)
    rows = own_rows(node, entry, IN_ENGLISH)
    more = validation_rows(node, entry, rows, overrides)
    evidence = row_evidence(rows, more, rules.scale.scale(), model=model, level=rules.level)
    if record is None or evidence.card is None:
        return evidence
    given = load_record(record)
    if given.attempt != entry.attempt:
        raise ConfigError(
            f"--record {record} is of attempt {given.attempt[:8]}, and what is validated of {entry.attempt[:8]}; give "
            "the record of the same study"
        )
    return replace(evidence, calibration=errors_of(given, evidence.card))


def _released(of: str, attempt: str | None, model: str, overrides: Path | None) -> "Evidence":
    from fedrisk.analysis.validation.released import released_evidence
    from fedrisk.api import load_record, load_results
    from fedrisk.errors import ConfigError
    from fedrisk.server.hub import Hub
    from fedrisk.server.runs import Runs

    for name, value in (("ATTEMPT", attempt), ("--overrides", overrides)):
        if value is not None:
            raise typer.BadParameter("is of a bank's rows, and goes with a bank's file", param_hint=name)
    if model != "shared":
        raise typer.BadParameter("a bank's own models are validated at the bank", param_hint="--model")
    path = Path(of)
    if path.exists():
        folder = path.parent if path.is_file() else path
        return released_evidence(load_record(path), load_results(folder).card)
    registry = Runs(Hub.default())
    results = registry.results(registry.find(of))
    if results.record is None:
        raise ConfigError(f"run {of} has no release record; name the folder of its results")
    return released_evidence(results.record, results.card)


def _show(pack: "Pack") -> None:
    from fedrisk.report import validation_words as words
    from fedrisk.study import NO_PRIVACY

    if pack.evidence.facts.get("research"):
        tell(NO_PRIVACY, "bold white on red")
    tell(words.verdict(pack), "bold")
    if said := words.level_words(pack):
        tell(said)
    check, light, result, p = words.columns()
    table = plain_table("", check, light, result, p, right=(p,), whole=(p, light))
    for c in pack.checks:
        style = {"red": "red", "yellow": "yellow"}.get(c.light)
        table.add_row(
            words.name(c.code), words.light_words(c.light), words.result(c), words.chance(c.p), style=style
        )
    tell_table(table)
