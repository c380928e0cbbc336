"""`fedrisk card ...`: a released card after its study. What it does is arithmetic on released numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, tell, tell_json

if TYPE_CHECKING:
    from fedrisk.models.card_edit import CardEdit
    from fedrisk.models.edited_card import EditedCard

card_app = typer.Typer(help="A released card: show, edit and verify it.", no_args_is_help=True)

Card = Annotated[
    str,
    typer.Argument(
        help="Folder of results, folder or file of an edited card, a scorecard.json, or a run of this hub, for example "
        "results/may or 1f3a9c02.",
        show_default=False,
    ),
]
Merge = Annotated[
    list[str] | None,
    typer.Option(
        "--merge",
        help='Bins that become one, numbered from 1 as in `fedrisk card show`, for example "bank.turnover:2-4", or for '
        'categories "bank.sector:1,5"; may be given several times.',
    ),
]
Monotone = Annotated[
    list[str] | None,
    typer.Option(
        "--monotone",
        help="How the risk has to go from bin to bin as the value grows, for example bank.age=falling (or rising).",
    ),
]
Sign = Annotated[
    list[str] | None,
    typer.Option(
        "--sign",
        help="How the risk has to go on the whole, while single steps may turn, for example bank.age=falling.",
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option("--drop", help="A column or pair that leaves the card, for example tax_office.sector."),
]
Pdo = Annotated[
    float | None, typer.Option("--pdo", help="Points that double the odds of repaying, for example 40.")
]
Base = Annotated[float | None, typer.Option("--base", help="Score at the base odds, for example 660.")]
Odds = Annotated[
    float | None, typer.Option("--base-odds", help="Odds of repaying at the base score, for example 15.")
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--long-run-rate", help="Rate of default that the probabilities shall expect, for example 0.041."
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", help="Why; kept for good, for example 'few enterprises in these bins'.")
]
Author = Annotated[
    str, typer.Option("--author", help="Who edits, for example 'A. Officer'. Default: the login.")
]
Edits = Annotated[
    Path | None,
    typer.Option(
        "--edits",
        help="File (TOML) with a table `edit` for each edit, in place of these options, for example edits.toml.",
    ),
]
To = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="New folder for the edited card, for example results/may_edited. Without it nothing is written.",
    ),
]
Record = Annotated[
    str | None,
    typer.Option(
        "--record",
        help="Folder, file or run with the release record, where it is not beside the card, for example results/may.",
    ),
]


@card_app.command("show")
def card_show(card: Card, as_json: AsJson = False) -> None:
    """A card with its bins, points and their errors, and the history of its edits; whether the digests fit."""
    from fedrisk.cli.card_screen import card_figures, show_card, show_history
    from fedrisk.engine.card_files import find_card

    found = find_card(card)
    if as_json:
        history = None if found.edited is None else _history(found.edited)
        tell_json({**card_figures(found.card), "history": history})
        return
    show_card(found.card)
    if found.edited is not None:
        show_history(found.edited)


@card_app.command("edit")
def card_edit(
    card: Card,
    merge: Merge = None,
    monotone: Monotone = None,
    sign: Sign = None,
    drop: Drop = None,
    pdo: Pdo = None,
    base: Base = None,
    odds: Odds = None,
    rate: Rate = None,
    reason: Reason = "",
    author: Author = "",
    edits: Edits = None,
    record: Record = None,
    to: To = None,
    as_json: AsJson = False,
) -> None:
    """Edit a released card: the weights are solved again from released numbers, at no charge. The original stays.

    Shows what each edit changes and what it costs; with --out the new card is written with its history.
    """
    from fedrisk import api
    from fedrisk.cli.card_screen import show_edit
    from fedrisk.engine.card_files import parse_edits

    acts: dict[str, Any] = {
        "merge": merge or (),
        "monotone": monotone or (),
        "sign": sign or (),
        "drop": drop or (),
        "double": pdo,
        "base": base,
        "odds": odds,
        "rate": rate,
    }
    chosen = _edits(edits, acts, reason, author) or (
        parse_edits(**acts, reason=reason, author=author or _login()),
    )
    made = api.edit_card(card, chosen, record=record, out=to)
    new = made.history[-len(chosen) :]
    if as_json:
        tell_json({"card": made.digest, "edits": [{**e.to_dict(), "digest": e.digest} for e in new]})
        return
    for entry in new:
        show_edit(entry)
    if to is None:
        note("nothing was written; --out FOLDER keeps the edited card")
        return
    tell(f"edited card in {to}: edited_card.json, scorecard.json, release_record.npz")


@card_app.command("verify")
def card_verify(card: Card, record: Record = None, as_json: AsJson = False) -> None:
    """Whether the history of an edited card is whole and its edits lead from the released record to this very card.

    Exit code 1 where something does not fit.
    """
    from fedrisk import api
    from fedrisk.engine.card_files import find_card

    found = find_card(card)
    wrong = api.verify_card(card, record=record)
    replayed = record is not None or found.record is not None
    if as_json:
        tell_json({"fits": not wrong, "replayed": replayed, "wrong": wrong})
    elif wrong:
        for line in wrong:
            tell(line, "red")
    else:
        _tell_fits(found.edited, replayed=replayed)
    if wrong:
        raise typer.Exit(1)


def _edits(file: Path | None, acts: dict[str, Any], reason: str, author: str) -> "tuple[CardEdit, ...]":
    """The edits of a file; none where the options say the edit."""
    from fedrisk.engine.card_files import load_edits
    from fedrisk.errors import ConfigError

    if file is None:
        return ()
    if any(acts.values()) or reason or author:
        raise ConfigError("--edits has all edits with their reasons and authors; leave the other options out")
    return load_edits(file)


def _login() -> str:
    from fedrisk.user import user_name

    return user_name()


def _history(card: "EditedCard") -> dict[str, Any]:
    return {"edits": [{**e.to_dict(), "digest": e.digest} for e in card.history], "wrong": card.broken()}


def _tell_fits(card: "EditedCard | None", *, replayed: bool) -> None:
    from fedrisk.language import _, either

    count = 0 if card is None else len(card.history)
    tell(either("{count} edit; all digests fit", "{count} edits; all digests fit", count))
    if replayed:
        tell(_("made again from the release record, the edits lead to this card"))
    else:
        note(_("the release record is not here; --record also makes the edits again from it"))
