"""``fedrisk contribution``: what each institution's data were worth to a scorecard study, from its released numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, plain_table, tell, tell_json, tell_table
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.analysis.contribution import Contributions
    from fedrisk.analysis.reward import Rewards


def contribution(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A finished scorecard study: its folder or release record, for example results/may.",
            show_default=False,
        ),
    ],
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules", help="Rules of a reward (TOML), for example configs/contribution/rewards.toml."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for contribution.html, .csv and .json, for example contribution/may."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What each institution, and each of its columns, was worth to a scorecard study; and a reward by rules.

    From the numbers that the study released, at no further privacy. All banks together are one; what a bank's rows were
    worth cannot be told from totals.
    """
    from fedrisk.analysis.contribution import contributions
    from fedrisk.analysis.reward import load_reward_rules, rewards
    from fedrisk.api import load_record
    from fedrisk.report.contribution import plain, write_contribution

    stated = None if rules is None else load_reward_rules(rules)
    record = load_record(folder)
    found = contributions(record)
    divided = None if stated is None else rewards(found, stated)
    names = {m["name"]: m["display_name"] for m in record.study["institutions"] if m.get("display_name")}
    written = [] if to is None else write_contribution(found, divided, to, names)
    if as_json:
        tell_json(plain(found, divided))
        return
    _show(found, names)
    if divided is not None:
        _show_rewards(divided, names)
    for path in written:
        note(_("written: {path}", path=path))


def _show(found: "Contributions", names: dict[str, str]) -> None:
    from fedrisk.report.contribution import auc, interval, lacking, per_cent, share_of, title
    from fedrisk.study import NO_PRIVACY

    if found.research:
        tell(NO_PRIVACY, "bold white on red")
    whole = found.whole
    tell(
        _(
            "all together explain {deviance} of the deviance ({deviance2}), and rank with an AUC of {auc}",
            deviance=per_cent(whole["deviance"]),
            deviance2=interval(whole["deviance"]),
            auc=auc(whole["auc"]),
        )
    )
    columns = ("deviance", "95 %", "share", "AUC", "known", "complete")
    title_of = _("worth by institution (Shapley values)")
    table = plain_table(title_of, "institution", *columns, right=columns, whole=("institution", "95 %"))
    for player in found.institutions:
        quality, ranks = found.quality[player.institution], player.worth["auc"]
        deviance = player.worth["deviance"]
        table.add_row(
            title(player.institution, names),
            per_cent(deviance),
            interval(deviance),
            share_of(deviance),
            f"{ranks.value:+.4f}" if ranks.says else "–",
            "–" if quality.coverage is None else lacking(quality.coverage),
            lacking(quality.completeness),
        )
    tell_table(table)
    if len(found.banks) > 1:
        note(
            _("bank: {banks} banks together; from totals nothing can be told of each", banks=len(found.banks))
        )
    if not found.gram:
        note(
            _(
                "no second moments were released (few defaults): how far columns agree is assumed, not measured"
            )
        )
    note(_("worth to this study's card, before any price; not what caused defaults. –: mostly noise"))


def _show_rewards(divided: "Rewards", names: dict[str, str]) -> None:
    from fedrisk.report.contribution import title, why
    from fedrisk.report.losses import yuan

    columns = ("quality factor", "share", "yuan")
    table = plain_table(
        _("reward, rules {name}", name=divided.rules.name), "institution", *columns, "", right=columns
    )
    for one in divided.rewards:
        row = (f"{one.factor:.3f}", f"{one.share:.2%}", yuan(one.fen), why(one))
        table.add_row(title(one.institution, names), *row)
    tell_table(table)
    paid = sum(one.fen for one in divided.rewards)
    left = _("; {left} are left undivided", left=yuan(divided.left)) if divided.left else ""
    tell(_("{paid} yuan in all{left}", paid=yuan(paid), left=left))
