"""``fedrisk meter`` and ``fedrisk quota``: what an institution used, and what the key authority let it use."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from fedrisk.attempt_id import short
from fedrisk.cli.common import AsJson, InstitutionFile, look
from fedrisk.cli.output import about_use, out, plain_table, tell, tell_json
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.audit.usage import AttemptUsage, UsageRow
    from fedrisk.clients.node import Node


def meter(
    institution: InstitutionFile,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, for a spreadsheet: by month.")] = False,
    as_json: AsJson = False,
) -> None:
    """What was used, by purpose, month and counterparty, and by attempt: requests, releases, price, rows, scores."""
    from fedrisk.audit.usage import attempt_rows, to_csv, usage_rows

    node = look(institution)
    entries = list(node.trail.entries())
    rows, attempts = usage_rows(entries), attempt_rows(entries)
    if csv:
        typer.echo(to_csv(rows), nl=False)
    elif as_json:
        plain = {"by_month": [_plain(row) for row in rows], "by_attempt": [_plain(row) for row in attempts]}
        tell_json({"institution": node.name, **plain})
    else:
        _print_months(node.name, rows)
        _print_attempts(attempts)


def _plain(row: "UsageRow | AttemptUsage") -> dict[str, Any]:
    """JSON has no infinity, which is the price of a research run."""
    return {name: None if value == math.inf else value for name, value in asdict(row).items()}


_SUMS = ("asked", "given", "refused", "mu", "rows", "scores", "MB in", "MB out")


def _print_months(name: str, rows: list["UsageRow"]) -> None:
    for purpose in sorted({row.purpose for row in rows}):
        title = _("use of {name}, purpose {purpose}", name=name, purpose=purpose or "–")
        table = plain_table(title, "month", "with", *_SUMS, right=_SUMS)
        for row in rows:
            if row.purpose == purpose:
                table.add_row(row.month, escape(row.counterparty), *_numbers(row))
        out.print(table)
        out.print()


def _print_attempts(rows: list["AttemptUsage"]) -> None:
    table = plain_table("by attempt", "began", "attempt", *_SUMS, right=_SUMS)
    for row in rows:
        table.add_row(row.first, escape(short(row.attempt)), *_numbers(row))
    if not rows:
        return
    out.print(table)
    for row in rows:
        tell(f"{short(row.attempt)}: {about_use(row.study, row.purpose, row.consent)}")


def _numbers(row: "UsageRow | AttemptUsage") -> tuple[str, ...]:
    mu = "none" if row.mu == math.inf else f"{row.mu:.3f}"
    counts = (str(row.requests), str(row.releases), str(row.refusals))
    size = (f"{row.bytes_in / 1e6:.1f}", f"{row.bytes_out / 1e6:.1f}")
    return (*counts, mu, f"{row.rows:,}", f"{row.scores:,}", *size)


def quota(
    institution: Annotated[
        Path, typer.Argument(help="The key authority's own file, for example tax.toml.", show_default=False)
    ],
    name: Annotated[
        str | None, typer.Argument(help="Whose quota, for example bank; left out, everybody's is shown.")
    ] = None,
    epoch: Annotated[
        str, typer.Option(help="The epoch, as the studies name it (alignment.epoch), for example 2026.")
    ] = "1",
    size: Annotated[
        int | None,
        typer.Option(min=1, help="The new agreed size, for example 50000; left out, it is only shown."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """At the key authority: how many ids an institution may have evaluated in an epoch; raise it with --size."""
    from fedrisk.clients.attempt import epoch_tag
    from fedrisk.clients.node import Node

    node = look(institution) if size is None else Node.open(institution)
    if size is not None and name is None:
        raise typer.BadParameter(
            "--size needs the name of an institution, for example: fedrisk quota tax.toml bank"
        )
    if node.store.unused and size is None:
        if as_json:
            tell_json({"authority": node.name, "epoch": epoch, "quotas": {}})
        return
    names = _partners(node, name)
    tag = epoch_tag(node.name, epoch)
    if size is not None:
        node.store.authority.quota.redeclare(node.store.fingerprint(str(name)), tag, size)
    found = {n: node.store.authority.evaluations(node.store.fingerprint(n), tag) for n in names}
    if as_json:
        quotas = {n: {"agreed": agreed, "used": used} for n, (agreed, used) in found.items()}
        tell_json({"authority": node.name, "epoch": epoch, "quotas": quotas})
        return
    for n, (agreed, used) in found.items():
        shown = (
            _("none agreed yet")
            if agreed is None
            else _(
                "{used:,} of {agreed:,} used, {agreed2:,} left",
                used=used,
                agreed=agreed,
                agreed2=agreed - used,
            )
        )
        tell(_("{n}, epoch {epoch}: {shown}", n=n, epoch=epoch, shown=shown))


def _partners(node: "Node", name: str | None) -> list[str]:
    """Institutions of earlier studies: the one that is named, or all; ConfigError where there was none of that name."""
    from fedrisk.errors import ConfigError

    known = sorted(set(node.store.pins.institutions) - {node.name})
    if name is not None and name not in known:
        raise ConfigError(
            f"{node.name} was in no study with {name}; name an institution as studies do, one of: "
            f"{', '.join(known) or 'none yet'}"
        )
    return known if name is None else [name]
