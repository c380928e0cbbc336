"""``fedrisk losses``: who bears the losses of guaranteed loans, from the sums of statistics studies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, plain_table, tell, tell_json, tell_table
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.analysis.loss_report import LossReport
    from fedrisk.analysis.loss_sharing import LossShares


def losses(
    rules: Annotated[
        Path,
        typer.Argument(
            help="Rules of sharing (TOML), for example configs/losses/rules_4321.toml.", show_default=False
        ),
    ],
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Results of statistics studies, folders or records, oldest first; shares are made from the last, the "
            "back-test from all. For example results/2026q1 results/2026q2.",
            show_default=False,
        ),
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", help="Other rules to compare with, for example configs/losses/rules_5221.toml."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for losses.html, losses.csv and losses.json, for example losses/may."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Expected loss of each party, whether the pool is enough, other rules, back-test: from released sums alone.

    Costs no privacy: nothing is asked of any bank.
    """
    from fedrisk.analysis.loss_report import loss_report
    from fedrisk.analysis.loss_rules import load_loss_rules
    from fedrisk.api import load_record
    from fedrisk.report.losses import write_losses

    these = load_loss_rules(rules)
    other = None if against is None else load_loss_rules(against)
    report = loss_report(these, [load_record(path) for path in results], other=other)
    written = [] if folder is None else write_losses(report, folder)
    if as_json:
        tell_json(report.to_dict())
        return
    _show(report)
    for path in written:
        note(_("written: {path}", path=path))


def _show(report: "LossReport") -> None:
    from fedrisk.report.losses import verdict
    from fedrisk.study import NO_PRIVACY

    if report.research:
        tell(NO_PRIVACY, "bold white on red")
    for text in verdict(report):
        tell(text)
    _show_parties(report.shares)
    _show_segments(report.shares)
    if report.other is not None:
        _show_changes(report)
    if report.tested is not None:
        level = f"{report.tested.level:.0%}"
        counts = [
            _("{k} of {n} {what}", k=k, n=n, what=what)
            for what in ("total", "party", "segment")
            for k, n in [report.tested.count(what)]
        ]
        tell(
            _(
                "back-test, losses that came inside their {level} intervals: {counts}",
                level=level,
                counts=", ".join(counts),
            )
        )


def _show_parties(shares: "LossShares") -> None:
    from fedrisk.analysis.loss_sharing import ADEQUATE
    from fedrisk.report.losses import about, between, rate, whole_title, yuan

    level = f"{shares.level:.0%}"
    columns = (
        "expected loss",
        "share",
        _("{level} by the noise", level=level),
        _("{level} to come", level=level),
        *(f"{a:.0%}" for a in ADEQUATE),
    )
    table = plain_table(
        _("who bears what, rules {name} (yuan)", name=shares.rules.name),
        "party",
        *columns,
        right=columns,
        whole=columns,
    )
    for party in (*shares.parties, shares.total):
        noise, come = between(party.low, party.high), between(party.least, party.most)
        share = rate(party.expected, shares.total.expected)
        table.add_row(
            whole_title(party.title), yuan(party.expected), share, noise, come, *map(about, party.quantiles)
        )
    tell_table(table)


def _show_segments(shares: "LossShares") -> None:
    from fedrisk.report.losses import whole_title, yuan

    columns = ("exposure", "expected loss", *(p.title for p in shares.parties))
    table = plain_table("by segment (yuan)", "segment", *columns, right=columns, whole=columns)
    for segment in shares.segments:
        figures = (segment.exposure, segment.expected, *segment.parts)
        table.add_row(whole_title(segment.title), *(yuan(f) if segment.says else "–" for f in figures))
    tell_table(table)
    if not all(s.says for s in shares.segments):
        tell(_("–: says less than its noise; it is in the totals"))


def _show_changes(report: "LossReport") -> None:
    from fedrisk.report.losses import between, yuan

    if report.other is None:
        return
    columns = (report.shares.rules.name, report.other.rules.name, "change", f"{report.shares.level:.0%}")
    table = plain_table(
        "what other rules would change (yuan)", "party", *columns, right=columns, whole=columns
    )
    for c in report.changes:
        table.add_row(c.title, yuan(c.these), yuan(c.other), yuan(c.change), between(c.low, c.high))
    tell_table(table)
    if report.other.pool is not None:
        from fedrisk.report.losses import pool_words

        tell(_("under {name}: {pool}", name=report.other.rules.name, pool=pool_words(report.other.pool)))
