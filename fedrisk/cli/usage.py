"""``fedrisk meter`` and ``fedrisk quota``: what an institution used, and what the key authority let it use."""

from typing import Annotated

import typer
from rich.table import Table

from fedrisk.cli.output import InstitutionFile, out


def meter(
    institution: InstitutionFile,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, for a spreadsheet.")] = False,
) -> None:
    """What was used, by counterparty, purpose and month: requests, releases, price, rows, scores, bytes."""
    from fedrisk.audit.usage import to_csv, usage_rows
    from fedrisk.clients.node import Node

    node = Node.load(institution)
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
    institution: InstitutionFile,
    name: Annotated[str, typer.Argument(help="Which institution's quota, for example bank.")],
    epoch: Annotated[
        str, typer.Option(help="The epoch, as the studies name it (alignment.epoch), for example 2026.")
    ] = "1",
    size: Annotated[
        int | None,
        typer.Option(min=1, help="The new agreed size, for example 50000; left out, it is only shown."),
    ] = None,
) -> None:
    """At the key authority: how many ids an institution may have evaluated in an epoch; raise it with --size."""
    from fedrisk.clients.attempt import epoch_tag
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    fingerprint, tag, account = node.store.fingerprint(name), epoch_tag(node.name, epoch), node.store.quota
    if size is not None:
        account.redeclare(fingerprint, tag, size)
    agreed = account.size(fingerprint, tag)
    used = account.used(fingerprint, tag)
    shown = "none agreed yet" if agreed is None else f"{used:,} of {agreed:,} used"
    out.print(f"{name}, epoch {epoch}: {shown}", highlight=False)
