"""``fedrisk attack``: attacks on studies between real nodes, on made-up tables, against chance and the claims."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, plain_table, tell, tell_json, tell_table
from fedrisk.language import _, listed, of_kind

if TYPE_CHECKING:
    from fedrisk.attacks.attack import Attack, Measured
    from fedrisk.attacks.playing import Played


def attack(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Attacks to run, for example audit; all of them by default.", show_default=False),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for attacks.json and index.html, for example attacks/may."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer tries, some five minutes in all; intervals are wider.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn, for example 7.")] = 1,
    show: Annotated[bool, typer.Option("--list", help="Say which attacks there are, and run none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Attack the product: real nodes and messages, made-up tables; for example fedrisk attack --quick --out attacks.

    Each attack is measured against chance and against what is claimed, beside controls in which a protection is
    switched off and which have to succeed. Everything happens in temporary folders with stores of their own: no
    store, table or ledger of yours is read or touched, and nothing is charged.

    Exit code 1 where something is broken, a control failed or an attack did not come to its end.
    """
    from fedrisk.attacks.attack import Effort
    from fedrisk.attacks.playing import play
    from fedrisk.errors import ConfigError
    from fedrisk.report.attack_page import as_plain, ready, write_attacks

    chosen = _chosen(names or [])
    if show:
        _list(chosen, as_json)
        return
    if folder is None and not as_json:
        raise ConfigError(
            "fedrisk attack writes a page and figures; name their folder by --out, or ask for --json"
        )
    if folder is not None:
        ready(folder)
    effort = Effort(quick=quick, seed=seed)
    played = list(play(chosen, effort, begins=_begins, measured=_measured))
    content = as_plain(played, effort)
    written = [] if folder is None else write_attacks(content, played, folder)
    if as_json:
        tell_json(content)
    else:
        _show(played)
    for path in written:
        note(_("written: {path}", path=path))
    if content["outcome"] != "held":
        raise typer.Exit(1)


def _chosen(names: list[str]) -> "list[Attack]":
    """The attacks of these names, all of them without any; ConfigError where there is none of a name."""
    from fedrisk.attacks.registry import attacks
    from fedrisk.errors import ConfigError

    there = attacks()
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ConfigError(f"there is no attack {unknown[0]}; choose among {', '.join(there) or 'none'}")
    return [there[name] for name in dict.fromkeys(names or there)]


def _list(chosen: "list[Attack]", as_json: bool) -> None:
    if as_json:
        tell_json([{"name": a.name, "attacker": a.attacker, "wants": a.wants} for a in chosen])
        return
    table = plain_table("", "attack", "who attacks", "wanting what")
    for a in chosen:
        table.add_row(a.name, of_kind("attack", a.attacker), of_kind("attack", a.wants))
    tell_table(table)


def _begins(one: "Attack") -> None:
    note(_("attack {name}: {attacker}", name=one.name, attacker=of_kind("attack", one.attacker)), style=None)


def _measured(figure: "Measured") -> None:
    from fedrisk.report.attack_words import figure_words, said_target, verdict_words

    note(
        _(
            "  {target}: {figures}, {verdict}",
            target=said_target(figure),
            figures=figure_words(figure),
            verdict=verdict_words(figure.verdict),
        )
    )


def _show(played: "list[Played]") -> None:
    from fedrisk.report.attack_words import outcome_words

    for one in played:
        tell(outcome_words(one), None if one.outcome == "held" else "bold red")
    bad = [one.attack.name for one in played if one.outcome != "held"]
    tell(
        _("not as claimed: {names}", names=listed(bad))
        if bad
        else _("everything held, and every control succeeded")
    )
