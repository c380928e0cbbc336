"""``fedrisk meter`` and ``fedrisk quota``: what an institution used, and what the key authority let it use."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fedrisk.cli.output import AsJson, InstitutionFile, look, out


def meter(
    institution: InstitutionFile,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, for a spreadsheet.")] = False,
) -> None:
    """What was used, by counterparty, purpose and month: requests, releases, price, rows, scores, bytes."""
    from fedrisk.audit.usage import to_csv, usage_rows

    node = look(institution)
    rows = usage_rows(node.trail.entries())
    if csv:
        typer.echo(to_csv(rows), nl=False)
        return
    heads = (
        "month",
        "with",
        "purpose",
        "asked",
        "released",
        "refused",
        "mu",
        "rows",
        "scores",
        "MB in",
        "MB out",
    )
    table = Table(*heads, title=f"use of {node.name}", title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            *(
                row.month,
                row.counterparty,
                row.purpose,
                str(row.requests),
                str(row.releases),
                str(row.refusals),
            ),
            *(f"{row.mu:.3f}", f"{row.rows:,}", f"{row.scores:,}"),
            *(f"{row.bytes_in / 1e6:.1f}", f"{row.bytes_out / 1e6:.1f}"),
        )
    out.print(table, width=120)


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
            typer.echo(json.dumps({"authority": node.name, "epoch": epoch, "quotas": {}}, indent=1))
        return
    tag = epoch_tag(node.name, epoch)
    if size is not None:
        node.store.quota.redeclare(node.store.fingerprint(str(name)), tag, size)
    names = [name] if name is not None else sorted(set(node.store.pins.institutions) - {node.name})
    found = {n: node.store.evaluations(n, tag) for n in names}
    if as_json:
        quotas = {n: {"agreed": agreed, "used": used} for n, (agreed, used) in found.items()}
        typer.echo(json.dumps({"authority": node.name, "epoch": epoch, "quotas": quotas}, indent=1))
        return
    for n, (agreed, used) in found.items():
        shown = (
            "none agreed yet" if agreed is None else f"{used:,} of {agreed:,} used, {agreed - used:,} left"
        )
        out.print(f"{n}, epoch {epoch}: {shown}", markup=False, highlight=False)
