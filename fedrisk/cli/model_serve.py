"""``fedrisk model serve``: a bank's service for its loan system, without a node that serves it."""

from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli.asking import Members, Place, institution_file, way_to_members
from fedrisk.cli.model import model_app
from fedrisk.cli.output import note, tell, tell_json
from fedrisk.language import _

Pem = typer.Option(help="PEM file, where others reach the service than this machine, for example bank.pem.")


@model_app.command("serve")
def model_serve(
    bank: Place,
    members: Members = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Of HTTP and the page; 0 takes a free one, for example 8460."),
    ] = 8460,
    grpc_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of gRPC, for example 8461. Default: none.")
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; any but loopback needs a certificate, for example 10.0.0.5."
        ),
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", help="A name by which the service is asked, repeatable, for example scores.bank."
        ),
    ] = None,
    certificate: Annotated[Path | None, Pem] = None,
    key: Annotated[
        Path | None, typer.Option(help="PEM file with the certificate's private key, for example bank.key.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say ports and the token's file as JSON, for programs.")
    ] = False,
) -> None:
    """At a bank: answer its loan system until Ctrl-C; for example fedrisk model serve bank.toml --members tax.toml.

    The same as a node of a consortium does by itself (node.toml: service). With --members the holders' own files are on
    this machine and answer in this process; without, the hub of a node's folder is asked, or a model has no holders.
    """
    import contextlib

    from fedrisk.cli.node_serve import stopping
    from fedrisk.clients.node import Node
    from fedrisk.serving.bank import FOLDER, BankService
    from fedrisk.serving.serve_bank import Listening, serving

    node = Node.open(institution_file(bank))
    listening = Listening(port, grpc_port, host, certificate, key, tuple(name or ()))
    folder = bank if bank.is_dir() else node.store.path / FOLDER
    with (
        way_to_members(bank, node, members) as relay,
        contextlib.closing(BankService(node, relay)) as service,
        stopping() as stop,
        serving(service, folder, listening) as at,
    ):
        scheme, shown = "https" if listening.is_tls else "http", f"[{host}]" if ":" in host else host
        address = f"{scheme}://{shown}:{at.http}"
        if as_json:
            tell_json({"bank": node.name, "address": address, "grpc": at.grpc, "token": str(at.token)})
        else:
            tell(_("{name} answers at {address}/", name=node.name, address=address))
            note(_("the token is in {token}; Ctrl-C ends the service", token=at.token))
        stop.wait()
