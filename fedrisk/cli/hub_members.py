"""``fedrisk hub init``, ``invite``, ``admit``, ``expel`` and what else concerns members and keys of a consortium."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.common import AsJson, Force
from fedrisk.cli.hub import HubFolder, hub_app
from fedrisk.cli.output import note, out, plain_table, tell, tell_json
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.deploy.roster import Roster

MemberName = Annotated[
    str,
    typer.Argument(
        help="The institution's name: small letters, digits and _, for example city_bank.", show_default=False
    ),
]


@hub_app.command("init")
def hub_init(
    hub: HubFolder,
    name: Annotated[
        str, typer.Option("--name", help='The consortium\'s name, for example "Bank-tax pilot".')
    ],
    address: Annotated[
        str,
        typer.Option(
            "--address", help="HOST:PORT under which nodes reach it, for example hub.example.org:9490."
        ),
    ],
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen", help="HOST:PORT to listen on; default: all addresses. Example: 10.0.0.5:9490."
        ),
    ] = None,
    health: Annotated[
        int | None, typer.Option("--health", help="Loopback port of health and metrics, for example 9492.")
    ] = None,
    scoring: Annotated[
        str | None,
        typer.Option(
            "--scoring",
            help="HOST:PORT under which nodes reach the relay of scores; none without it. Example: "
            "hub.example.org:9491.",
        ),
    ] = None,
    scoring_listen: Annotated[
        str | None,
        typer.Option(
            "--scoring-listen",
            help="HOST:PORT to listen on for scores; default: all addresses. Example: 10.0.0.5:9491.",
        ),
    ] = None,
) -> None:
    """Make a hub's folder: its certificate authority, certificate, identity, and an empty roster."""
    from fedrisk.server.membership import make_hub, words_of_hub

    given = {
        "name": name,
        "address": address,
        "listen": listen,
        "health": health,
        "scoring": scoring,
        "scoring_listen": scoring_listen,
    }
    home = make_hub(hub, {key: value for key, value in given.items() if value is not None})
    tell(_("hub of {name}: {path}", name=home.name, path=home.path))
    tell(_("words of the hub: {home}", home=words_of_hub(home)))
    tell(_("every institution compares them when it joins; invite one with fedrisk hub invite"))
    note(
        _(
            "keep copies of identity.key, ca.key, holdout.key and bank.key in a safe place: nothing can replace them"
        )
    )


@hub_app.command("invite")
def hub_invite(
    hub: HubFolder,
    name: MemberName,
    role: Annotated[
        str,
        typer.Option(
            "--role", help="bank, holder, authority, guarantor, bureau, regulator or agent; for example bank."
        ),
    ],
    display_name: Annotated[
        str | None,
        typer.Option("--display-name", help="Its name for people, in any script, for example 城市银行."),
    ] = None,
    days: Annotated[
        float, typer.Option("--days", help="How long it holds, for example 14.", min=0.001)
    ] = 14.0,
    renew: Annotated[
        bool, typer.Option("--renew", help="In place of an earlier invitation, whose kit is void then.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="File of the kit; default: NAME.kit.json. Example: kits/tax.json."),
    ] = None,
    force: Force = False,
) -> None:
    """Write a kit, with which an institution makes its node. It holds no private key; send it as you like."""
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.server.membership import invite

    home, file = HubHome.load(hub), to or Path(f"{name}.kit.json")
    _free(file, force)
    kit = invite(home, name, role, display_name=display_name, days=days, renew=renew)
    _write(file, kit.to_bytes())
    tell(
        _(
            "{file} invites {name} as {role} to {consortium}, until {expires}",
            file=file,
            name=kit.name,
            role=kit.role,
            consortium=kit.consortium,
            expires=kit.expires,
        )
    )
    tell(_("words of the hub: {hub_words}", hub_words=kit.hub_words))
    tell(
        _(
            "read these words to {name} by telephone when it joins; then it reads its own to you",
            name=kit.name,
        )
    )


@hub_app.command("admit")
def hub_admit(
    hub: HubFolder,
    request: Annotated[
        Path,
        typer.Argument(
            help="What the institution sent, for example city_bank.request.json.", show_default=False
        ),
    ],
    words: Annotated[
        str | None,
        typer.Option(
            "--words", help='The eight words that it said by telephone, for example "toy fame budget ...".'
        ),
    ] = None,
) -> None:
    """Let an institution in, or put its new keys in place of old ones, after its words were compared."""
    from fedrisk.cli.compared import compare
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.deploy.kit import Request
    from fedrisk.engine.superlink_nodes import register
    from fedrisk.server import membership

    home, asked = HubHome.load(hub), _asked(request)
    if isinstance(asked, Request):
        membership.check_request(home, asked)
        note(
            _(
                "{name} asks to join {name2} as {role}, with fedrisk {fedrisk}",
                name=asked.name,
                name2=home.name,
                role=asked.role,
                fedrisk=asked.fedrisk,
            ),
            style=None,
        )
        compare(_("the request of {name}", name=asked.name), asked.words, words)
        roster = membership.admit(home, asked, register)
        tell(
            _(
                "{name} is a member of {name2} as {role}, from epoch {epoch} of the roster on",
                name=asked.name,
                name2=home.name,
                role=asked.role,
                epoch=roster.epoch,
            )
        )
    else:
        membership.check_rotation(home, asked)
        _nothing_runs(home, asked.name)
        note(_("{name} changes keys; its old key signed that", name=asked.name), style=None)
        compare(_("the rotation of {name}", name=asked.name), asked.words, words)
        roster = membership.admit_rotation(home, asked, register)
        tell(
            _("{name} has new keys from epoch {epoch} of the roster on", name=asked.name, epoch=roster.epoch)
        )
        if asked.flower != asked.old_flower:
            tell(
                _(
                    "once its node is connected with the new one: fedrisk hub retire {hub} {name}",
                    hub=hub,
                    name=asked.name,
                )
            )
    _tell_roster(roster)


@hub_app.command("expel")
def hub_expel(
    hub: HubFolder,
    name: MemberName,
    reason: Annotated[
        str,
        typer.Option("--reason", help="What happened, and who decided; kept at the hub. Example: 'left'."),
    ],
) -> None:
    """Put an institution out: its node is let in no longer, its open proposals are refused, all members are told."""
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.engine.superlink_nodes import unregister
    from fedrisk.server.hub import Hub
    from fedrisk.server.membership import expel
    from fedrisk.server.proposals import Proposals

    home = HubHome.load(hub)
    roster = expel(home, name, unregister, reason=reason)
    proposals = Proposals(Hub(home.path))
    refused = [p for p in proposals.open() if name in p.whole.members]
    for proposal in refused:
        proposals.update(proposal.id, state="refused", code="roster")
    tell(
        _(
            "{name} was expelled from {name2}, in epoch {epoch} of the roster",
            name=name,
            name2=home.name,
            epoch=roster.epoch,
        )
    )
    if refused:
        tell(_("proposals refused for that: {refused}", refused=", ".join(p.id for p in refused)))
    _tell_roster(roster)


@hub_app.command("roster")
def hub_roster(hub: HubFolder, as_json: AsJson = False) -> None:
    """The members of the newest epoch, with their words, and who was expelled."""
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.deploy.roster import Roster
    from fedrisk.server.membership import words_of_hub

    home = HubHome.load(hub)
    roster = Roster.latest(home)
    if as_json:
        members = {one.name: one.words for one in roster.members}
        tell_json(
            {**roster.to_dict(), "words": roster.words, "words_of": {"hub": words_of_hub(home), **members}}
        )
        return
    tell(
        _(
            "{consortium}, epoch {epoch} of {made}; words of the hub: {home}",
            consortium=roster.consortium,
            epoch=roster.epoch,
            made=roster.made,
            home=words_of_hub(home),
        )
    )
    print_members(roster)


@hub_app.command("retire")
def hub_retire(hub: HubFolder, name: MemberName) -> None:
    """Let a node in no longer by keys that it has changed since; once it is connected with its new one."""
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.deploy.roster import Roster
    from fedrisk.engine.superlink_nodes import unregister
    from fedrisk.errors import ConfigError

    home = HubHome.load(hub)
    member = Roster.latest(home).member(name)
    if member is None:
        raise ConfigError(f"{name} is no member of {home.name}; its keys went with its expulsion")
    old = {rotation.old_flower for rotation in member.rotations} - {member.flower}
    for key in sorted(old):
        unregister(home, name, key)
    tell(
        _("{name}: {old} earlier key(s) of its node are let in no longer", name=name, old=len(old))
        if old
        else _("{name} has no other key", name=name)
    )


@hub_app.command("renew-certificate")
def hub_renew(
    hub: HubFolder,
    following: Annotated[
        bool,
        typer.Option("--next", help="Make the next certificate authority, and hand it out to all nodes."),
    ] = False,
    use: Annotated[
        bool,
        typer.Option("--use-next", help="Have the next authority sign from now on, a month after --next."),
    ] = False,
    at_once: Annotated[
        bool,
        typer.Option(
            "--at-once", help="With --use-next: do not wait; nodes that were off cannot reach the hub."
        ),
    ] = False,
) -> None:
    """A new certificate for the hub's server; take it up by starting fedrisk hub serve again."""
    from fedrisk.deploy import pki
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.files import PUT_BACK, read_kept
    from fedrisk.server.certificates import hand_out_authority, renew_server, use_next_authority

    home = HubHome.load(hub)
    if following:
        roster = hand_out_authority(home)
        tell(_("nodes are told of the next authority with epoch {epoch} of the roster", epoch=roster.epoch))
        tell(
            _(
                "in {days} days or later: fedrisk hub renew-certificate {hub} --use-next",
                days=pki.AHEAD_DAYS,
                hub=hub,
            )
        )
        return
    if use:
        use_next_authority(home, at_once=at_once)
    else:
        renew_server(home)
    for file, what in (("server.pem", _("server's certificate")), ("ca.pem", "authority")):
        left = pki.days_left(read_kept(home.path / file, PUT_BACK))
        tell(_("{what}: {left:.0f} days left", what=what, left=left))
    tell(_("start fedrisk hub serve again to take it up"))


def print_members(roster: "Roster") -> None:
    """A line for each member of an epoch, and who was expelled."""
    table = plain_table("", "name", "role", "shown as", "since", "fedrisk", "words", whole=("name",))
    for one in roster.members:
        row = (
            one.name,
            one.role,
            one.display_name or "",
            _("epoch {since}", since=one.since),
            one.fedrisk,
            one.words,
        )
        table.add_row(*row)
    out.print(table)
    for gone in roster.expelled:
        tell(
            _(
                "{name} was expelled in epoch {epoch}, at {when}",
                name=gone.name,
                epoch=gone.epoch,
                when=gone.when,
            )
        )


def _asked(file: Path) -> Any:
    """A request or a rotation, whichever the file is."""
    from fedrisk.deploy.kit import Request
    from fedrisk.deploy.rotation import Rotation
    from fedrisk.errors import ConfigError

    try:
        plain = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; check the path") from None
    except (ValueError, RecursionError):
        plain = None
    kind = plain.get("kind") if isinstance(plain, dict) else None
    if kind == "kit":
        raise ConfigError(
            f"{file} is a kit, which goes to the institution; name the request that it sends back"
        )
    return Rotation.read(file) if kind == "rotation" else Request.read(file)


def _nothing_runs(home: "HubHome", name: str) -> None:
    """PolicyError while a study with the institution runs: it goes on with the old keys."""
    from fedrisk.errors import PolicyError
    from fedrisk.server.hub import Hub
    from fedrisk.server.proposals import Proposals

    running = [p for p in Proposals(Hub(home.path)).all() if p.state == "running" and name in p.whole.members]
    if running:
        raise PolicyError(
            f"study {running[0].whole.name} runs with {name} and goes on with its old keys; admit the new ones once it "
            "is over"
        )


def _tell_roster(roster: "Roster") -> None:
    note(
        _(
            "nodes are told when they next ask; words of epoch {epoch}: {words}",
            epoch=roster.epoch,
            words=roster.words,
        )
    )


def _free(file: Path, force: bool) -> None:
    from fedrisk.errors import ConfigError

    if file.exists() and not force:
        raise ConfigError(f"{file} is there already; name another file with --out, or say --force")


def _write(file: Path, content: bytes) -> None:
    from fedrisk.files import write_atomic

    write_atomic(file, content)
