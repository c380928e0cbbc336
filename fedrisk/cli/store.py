"""``fedrisk store``: where an institution's store lies, whose it is, and how to make it another file's on purpose."""

from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli.common import AsJson, InstitutionFile, ShowFirst
from fedrisk.cli.output import tell, tell_json
from fedrisk.language import _

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
    lines = [_("store of {name}: {folder}", name=loaded.name, folder=folder)]
    if not there:
        lines.append(_("nothing here yet; the first study makes it"))
    elif record is None:
        lines.append(_("an earlier version made it; the next study enters whose it is"))
    else:
        lines.append(
            _(
                "belongs to {name} ({kind}) of {file}",
                name=record.owner.name,
                kind=record.owner.kind,
                file=record.owner.file,
            )
        )
        lines += [
            _(
                "adopted {time} by {who}, from {from_}: {reason}",
                time=act["time"],
                who=act["who"],
                from_=act["from"],
                reason=act["reason"],
            )
            for act in record.history
        ]
    if not mine:
        lines.append(
            _("{file} is another institution; fedrisk store adopt makes it the owner", file=loaded.file)
        )
    if there:
        lines.append(_("holds {there}", there=", ".join(name for name in there if not name.startswith("."))))
    for line in lines:
        tell(line)


@store_app.command("adopt")
def store_adopt(
    institutions: Annotated[
        list[Path], typer.Argument(help="Institution files that moved, for example institutions/*.toml.")
    ],
    reason: Annotated[
        str, typer.Option(help='Why; recorded in the store, for example --reason "folder renamed".')
    ] = _("not stated"),
) -> None:
    """Make each file the owner of its store: after a folder was renamed or a table moved. Ledger and quota go on."""
    from fedrisk.clients.store import owner
    from fedrisk.clients.store.store import NodeStore
    from fedrisk.institution import load_institution

    for path in institutions:
        loaded = load_institution(path)
        folder = loaded.store_path
        if not folder.is_dir():
            tell(_("{name}: nothing in {folder} yet, nothing to adopt", name=loaded.name, folder=folder))
            continue
        with NodeStore(folder).one_at_a_time():
            before = owner.adopt(folder, loaded, reason=reason)
        whose = _("a file that is not known") if before is None else before.file
        tell(
            _(
                "{name}: store {folder} belongs to {file} now, and belonged to {whose}; ledger, quota, keys and "
                "pseudonyms go on",
                name=loaded.name,
                folder=folder,
                file=loaded.file,
                whose=whose,
            )
        )
