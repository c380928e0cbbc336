"""``fedrisk memory``: what this hub's scorecard studies released, as later ones remember it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.attempt_id import short
from fedrisk.cli.common import AsJson
from fedrisk.cli.output import alert, plain_table, tell, tell_json, tell_table
from fedrisk.language import N_, _

if TYPE_CHECKING:
    from fedrisk.models.knowledge import PastStudy
    from fedrisk.releases.record import ReleaseRecord

NOTHING_YET = N_("no finished scorecard study of this hub; the first one is what later ones remember")

Named = Annotated[
    list[str] | None,
    typer.Argument(
        help="Finished scorecard studies, by run or name, for example january february; none: all of this hub.",
        show_default=False,
    ),
]
Smooth = Annotated[
    str | None,
    typer.Option(
        "--smooth",
        help="One of them, whose scorecard is made once more with what the others released, for example january.",
    ),
]
To = Annotated[
    Path | None,
    typer.Option("--out", help="With --smooth: file for that scorecard, for example january_smoothed.json."),
]


Evaluations = Annotated[
    bool,
    typer.Option("--evaluations", help="What their hold-outs said, and all of them together."),
]


def memory(
    named: Named = None,
    smooth: Smooth = None,
    to: To = None,
    evaluations: Evaluations = False,
    as_json: AsJson = False,
) -> None:
    """What studies released, as a later one remembers it; with --smooth, an earlier scorecard by later studies too.

    "fit" counts columns with the same bins as in the newest study, or in the one that is smoothed. All of it follows
    from released numbers, at no further privacy.
    """
    _one_question(smooth, to, evaluations=evaluations)
    if evaluations:
        _evaluations(named or [], as_json)
        return
    found = _pasts(named or [])
    if not found:
        tell(_(NOTHING_YET))
        return
    last = len(found) - 1 if smooth is None else _place(found, smooth)
    rows = _rows(found, last)
    if as_json:
        tell_json({"studies": rows})
    else:
        _show(rows, found[last].study)
    if smooth is not None:
        same = _same_purpose(found, last, chosen=bool(named))
        _smooth(same, same.index(found[last]), to, quiet=as_json)


def _one_question(smooth: str | None, to: Path | None, *, evaluations: bool) -> None:
    from fedrisk.errors import ConfigError

    if evaluations and (smooth is not None or to is not None):
        raise ConfigError("--evaluations shows hold-outs and makes no card; leave --smooth and --out out")
    if to is not None and smooth is None:
        raise ConfigError("--out is the file for a smoothed card; say which study with --smooth NAME")


def _pasts(named: Sequence[str]) -> "list[PastStudy]":
    """Studies, oldest first."""
    from fedrisk.recipes.scorecard.looked_up import all_finished, finished_named
    from fedrisk.server.hub import Hub

    hub = Hub.default()
    found = [finished_named(name, hub) for name in named] if named else all_finished(hub)
    return sorted(found, key=lambda past: (past.ended, past.attempt))


def _evaluations(named: Sequence[str], as_json: bool) -> None:
    """AUC of each study's hold-out and of all together, with standard errors."""
    from fedrisk.analysis.evaluations import accumulated, evaluation_of
    from fedrisk.recipes.scorecard.looked_up import finished_records
    from fedrisk.server.hub import Hub

    records = finished_records(named, Hub.default())
    if not records:
        tell_json({"studies": [], "together": None}) if as_json else tell(_(NOTHING_YET))
        return
    found = [(str(r.study["name"]), evaluation_of(r)) for r in records]
    # Only what was measured on the same enterprises, for one purpose, is one figure.
    alike = [_measured_on(r) == _measured_on(records[-1]) for r in records]
    together = accumulated([e for (_, e), same in zip(found, alike, strict=True) if e is not None and same])
    if as_json:
        each = [
            {"study": name, "auc": e and e.auc, "error": e and e.error, "together": same}
            for (name, e), same in zip(found, alike, strict=True)
        ]
        every = together and {"auc": together.auc, "noise": together.noise, "error": together.error}
        tell_json({"studies": each, "together": every})
        return
    table = plain_table("evaluations", "study", "AUC", "±", "± by noise", right=("AUC", "±", "± by noise"))
    rows = [(name if same else f"{name} *", e) for (name, e), same in zip(found, alike, strict=True)]
    for name, e in [*rows, ("together", together)]:
        figures = ("–", "–", "–") if e is None else (f"{e.auc:.3f}", f"{e.error:.3f}", f"{e.noise:.3f}")
        table.add_row(name, *figures)
    tell_table(table)
    tell(
        _(
            "together: the mean of these studies' AUC, each of its own card, weighed by noise; the same "
            "enterprises are held out in all, so that noise averages out and their sampling error does not"
        )
    )
    if not all(alike):
        tell(
            _(
                "* another purpose, label, hold-out or list of banks than {found}: not taken together with it",
                found=found[-1][0],
            )
        )


def _measured_on(record: "ReleaseRecord") -> tuple[object, ...]:
    """By what enterprises are held out, for what, and of which label."""
    from fedrisk.analysis.past_studies import label_of

    study = record.study
    banks = tuple(m["name"] for m in study["institutions"] if m["role"] == "bank")
    return (record.research, study["purpose"], label_of(study), study["holdout"], banks)


def _place(found: "Sequence[PastStudy]", name: str) -> int:
    from fedrisk.errors import ConfigError

    fits = [k for k, past in enumerate(found) if past.study == name or past.attempt.startswith(name)]
    if not fits:
        raise ConfigError(f"--smooth {name} is none of these studies; name one of them")
    return fits[-1]


def _same_purpose(found: "Sequence[PastStudy]", last: int, *, chosen: bool) -> "list[PastStudy]":
    """Those for the purpose, and of the label, of the one that is smoothed; ConfigError where others are named."""
    from fedrisk.errors import ConfigError
    from fedrisk.recipes.scorecard.looked_up import aim_of
    from fedrisk.server.hub import Hub

    hub = Hub.default()
    purpose, label = aim_of(found[last], hub)
    same = [past for past in found if aim_of(past, hub) == (purpose, label)]
    if chosen and any(aim_of(past, hub)[1] != label for past in found):
        raise ConfigError(
            f'{found[last].study} is about label "{label}", and others of these studies about another; their '
            "curves are of different things, so name studies of one label"
        )
    if chosen and len(same) < len(found):
        raise ConfigError(
            f"{found[last].study} was for {purpose}, and others of these studies for another purpose; institutions "
            "released their numbers for one purpose each, so name studies of one"
        )
    return same


def _rows(found: "Sequence[PastStudy]", last: int) -> list[dict[str, Any]]:
    from fedrisk.analysis.card_sums import columns_of
    from fedrisk.models.knowledge import Knowledge
    from fedrisk.models.knowledge_file import digest_of, to_bytes
    from fedrisk.recipes.scorecard.smoothed import fitting_columns

    fitting = fitting_columns(found, last)
    return [
        {
            "study": past.study,
            "run": past.attempt,
            "ended": past.ended,
            "research": past.research,
            "members": [*past.members],
            "columns": len(columns_of(past.bins)),
            "fitting": fits,
            "defaults": round(past.counts.positives),
            "matrix": past.second is not None,
            "record": past.digest,
            "digest": digest_of(Knowledge(memory=(past,))),
            "bytes": len(to_bytes(Knowledge(memory=(past,)))),
        }
        for past, fits in zip(found, fitting, strict=True)
    ]


def _show(rows: Sequence[dict[str, Any]], of: str) -> None:
    right = ("columns", "fit", "defaults", "kB")
    table = plain_table("memory", "run", "ended", "study", *right, "record", right=right)
    for row in rows:
        name = _("{study} (research)", study=row["study"]) if row["research"] else row["study"]
        numbers = (row["columns"], row["fitting"], row["defaults"], kilobytes(row["bytes"]))
        table.add_row(
            short(row["run"]), row["ended"][:10], name, *(f"{n:,}" for n in numbers), row["record"][:16]
        )
    tell_table(table)
    tell(_("fit: columns with the same bins as in {of}", of=of))


def kilobytes(size: int) -> int:
    """Kilobytes, rounded up.

    >>> kilobytes(1), kilobytes(2001)
    (1, 3)
    """
    return -(-size // 1000)


def _smooth(found: "Sequence[PastStudy]", place: int, to: Path | None, *, quiet: bool) -> None:
    from fedrisk.files import write_atomic
    from fedrisk.recipes.scorecard.smoothed import smoothed_card

    past = found[place]
    if any(other.research != past.research for other in found):
        from fedrisk.errors import ConfigError

        raise ConfigError(
            "research runs, without privacy, smooth research runs alone; name studies of one kind"
        )
    card = smoothed_card(found, place)
    if to is not None:
        write_atomic(to, card.to_json().encode())
        if not quiet:
            tell(
                _(
                    "written: {to}, the scorecard of {study} by {found} studies",
                    to=to,
                    study=past.study,
                    found=len(found),
                )
            )
    elif not quiet:
        alert(_("the card is made and written nowhere; name a file with --out"), "yellow")
