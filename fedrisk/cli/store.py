"""``fedrisk store``: where an institution's store lies, whose it is, and how to make it another file's on purpose."""

from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli.common import AsJson, InstitutionFile, ShowFirst
from fedrisk.cli.output import tell, tell_json

store_app = typer.Typer(
    cls=ShowFirst,
    help="The store: where it lies, whose it is; adopt it after files moved.",
    no_args_is_help=True,
)


@store_app.command("show")
def store_show(institution: InstitutionFile, as_json: AsJson = False) -> None:
    """Where the store lies, whose it is, and what is in it; for example fedrisk store bank.toml."""
    from fedrisk.clients.store import owner
    from fedrisk.institution import load_institution

    loaded = load_institution(institution)
    folder = loaded.store_path
    record = owner.read(folder)
    mine = record is None or record.owner.is_same(owner.Owner.of(loaded, record.salt))
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if as_json:
        about = {
            "institution": loaded.name,
            "store": str(folder),
            "belongs_to": None if record is None else record.owner.file,
            "is_of_this_file": mine,
            "adopted": [] if record is None else [dict(act) for act in record.history],
            "holds": there,
        }
        tell_json(about)
        return
    lines = [f"store of {loaded.name}: {folder}"]
    if not there:
        lines.append("nothing here yet; the first study makes it")
    elif record is None:
        lines.append("an earlier version made it; the next study enters whose it is")
    else:
        lines.append(f"belongs to {record.owner.name} ({record.owner.kind}) of {record.owner.file}")
        lines += [
            f"adopted {act['time']} by {act['who']}, from {act['from']}: {act['reason']}"
            for act in record.history
        ]
    if not mine:
        lines.append(f"{loaded.file} is another institution; fedrisk store adopt makes it the owner")
    if there:
        lines.append(f"holds {', '.join(name for name in there if not name.startswith('.'))}")
    for line in lines:
        tell(line)


@store_app.command("adopt")
def store_adopt(
    institutions: Annotated[
        list[Path], typer.Argument(help="Institution files that moved, for example institutions/*.toml.")
    ],
    reason: Annotated[
        str, typer.Option(help='Why; recorded in the store, for example --reason "folder renamed".')
    ] = "not stated",
) -> None:
    """Make each file the owner of its store: after a folder was renamed or a table moved. Ledger and quota go on."""
    from fedrisk.clients.store import owner
    from fedrisk.clients.store.store import NodeStore
    from fedrisk.institution import load_institution

    for path in institutions:
        loaded = load_institution(path)
        folder = loaded.store_path
        if not folder.is_dir():
            tell(f"{loaded.name}: nothing in {folder} yet, nothing to adopt")
            continue
        with NodeStore(folder).one_at_a_time():
            before = owner.adopt(folder, loaded, reason=reason)
        whose = "a file that is not known" if before is None else before.file
        tell(
            f"{loaded.name}: store {folder} belongs to {loaded.file} now, and belonged to {whose}; ledger, quota, "
            "keys and pseudonyms go on"
        )
