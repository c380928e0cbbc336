"""What ``fedrisk model`` shows: lists, one model for a person who approves, comparisons."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fedrisk.cli.output import out, plain_table, tell

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.clients.store.model_store import State
    from fedrisk.models.model_part import ModelPart
    from fedrisk.serving.compared import Compared


def summary_of(part: "ModelPart", state: "State") -> dict[str, Any]:
    """A model in a line, as plain values."""
    return {
        "model": part.model,
        "kind": part.kind,
        "name": part.name,
        "version": part.version,
        "made": part.made,
        "purpose": part.purpose,
        "banks": list(part.banks),
        "holders": list(part.holders),
        "state": state.name,
        "roles": dict(state.roles),
    }


def state_words(state: "State") -> str:
    """A state in words, with what a bank uses it as."""
    if not state.roles:
        return state.name
    used = [f"{as_}{f' for {product}' if product else ''}" for product, as_ in sorted(state.roles.items())]
    return f"{state.name} as {', '.join(used)}"


def show_list(name: str, found: "Sequence[tuple[ModelPart, State]]") -> None:
    """A line for each model."""
    columns = ("model", "name", "version", "made", "state", "banks", "holders")
    table = plain_table(f"{name}: models", *columns, right=("version",), whole=("model", "made"))
    for part, state in found:
        members = ", ".join(part.banks), ", ".join(part.holders) or "–"
        table.add_row(
            part.model[:8], part.name, str(part.version), str(part.made), state_words(state), *members
        )
    out.print(table)


def about(node: "Node", part: "ModelPart", state: "State", against: Sequence[str]) -> dict[str, Any]:
    """Everything that is shown of a model, as plain values. bits: most that a score tells of an enterprise."""
    columns = [
        {"column": b["column"], "kind": b["kind"], "bins": len(p), "least": min(p), "most": max(p)}
        | {"readable": part.readable[k] if k < len(part.readable) else None}
        for k, (b, p) in enumerate(zip(part.bins, part.points, strict=True))
    ]
    serving = node.institution.policy.serving
    return {
        "institution": node.name,
        **summary_of(part, state),
        "study": part.study,
        "attempt": part.attempt,
        "fresh_days": part.fresh_days,
        "columns": columns,
        "given": None if part.given is None else sorted(set(part.given[1])),
        "values": part.values,
        "themes": [one.name for one in part.sums],
        "bits": None if part.values is None else math.log2(part.values),
        "per_day": serving.per_day,
        "per_enterprise": serving.per_enterprise,
        "consent": serving.consent,
        "consent_words": serving.consent_words,
        "answers_nobody": "" if part.given is None else serving.answers_nobody(datetime.now(UTC).date()),
        "against": list(against),
        "history": [
            {"time": c.time, "state": c.state, "as": c.as_, "product": c.product, "who": c.who, "by": c.by}
            | {"why": c.why}
            for c in state.changes
        ],
    }


def show(node: "Node", part: "ModelPart", state: "State", content: Mapping[str, Any]) -> None:
    """One model for a person who approves."""
    tell(f"model {part.model}: {part.name}, version {part.version}, made {part.made}; {state_words(state)}")
    tell(f"purpose {part.purpose}; asked by {', '.join(part.banks)}")
    tell(f"answered by {', '.join(part.holders) or 'nobody else'}: always all of them together")
    if content["columns"]:
        title = f"points that columns of {node.name} give or take"
        columns = ("column", "kind", "bins", "least", "most", "told")
        table = plain_table(title, *columns, right=columns[2:])
        for row in content["columns"]:
            told = "–" if row["readable"] is None else f"{row['readable']:.0%}"
            table.add_row(*(str(row[k]) for k in columns[:-1]), told)
        out.print(table)
        tell(
            "told: how far from blindly (0 %) to surely (100 %) a score tells its bin, by the card's form alone"
        )
    for line in _what_it_tells(part, content):
        tell(line)
    for change in content["history"]:
        used = f" as {change['as']}" if change["as"] else ""
        by = f"rule {change['who']}" if change["by"] == "rule" else change["who"] or "?"
        why = f": {change['why']}" if change["why"] else ""
        tell(f"{change['time'][:16].replace('T', ' ')} {change['state']}{used} by {by}{why}")
    for reason in content["by_form"]:
        tell(f"look closely: {reason}", "yellow")
    if content["answers_nobody"]:
        tell(content["answers_nobody"], "red")
    for reason in content["against"]:
        tell(f"against approving it: {reason}", "red")


def _what_it_tells(part: "ModelPart", content: Mapping[str, Any]) -> list[str]:
    """What answers tell a bank, in sentences."""
    lines = []
    if part.sums:
        names = ", ".join(one.name for one in part.sums)
        lines.append(
            f"a bank sees {len(part.sums)} sums of points, by theme ({names}), each of at most {part.values} values "
            f"({content['bits']:.1f} bits), and again whenever the data have changed"
        )
    elif part.values is not None:
        lines.append(
            f"a bank sees the sum of all holders' points, which takes at most {part.values} values: a score tells it "
            f"{content['bits']:.1f} bits of an enterprise at most, and again whenever the data have changed"
        )
    if part.given is not None:
        shared = "hidden among the others'" if len(part.holders) > 1 else "seen by the bank as it is"
        if own := [one for one in part.sums if one.features]:
            numbers = " and ".join(f"{len(set(one.values))} for {one.name}" for one in own)
            lines.append(
                f"of this holder it has one of so many numbers: {numbers}; where it is alone in a theme, the bank sees "
                "its number as it is"
            )
        else:
            lines.append(f"of this holder it has one of {len(content['given'])} numbers, {shared}")
        lines.append(
            f"consent: {content['consent_words']}; at most {content['per_day']:,} enterprises a day for each bank, and "
            f"{content['per_enterprise']} times the same one in 30 days"
        )
    lines.append(f"data older than {part.fresh_days} days count as missing")
    return lines


def show_compared(name: str, found: "Sequence[Compared]") -> None:
    """Champion and challengers, a table and a sentence for each challenger."""
    for one in found:
        title = f"{name}: {one.rows:,} enterprises held out by both, default rate {one.rate:.2%}"
        columns = ("model", "", "AUC", "Brier", "mean probability")
        table = plain_table(title, *columns, right=columns[2:])
        for figures, what in ((one.champion, "champion"), (one.challenger, "challenger")):
            numbers = f"{figures.auc:.4f}", f"{figures.brier:.4f}", f"{figures.probability:.2%}"
            table.add_row(figures.model[:8], what, *numbers)
        out.print(table)
        gaps = [f"{d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f})" for d in (one.auc, one.log_loss)]
        tell(
            f"the challenger is {one.verdict}: AUC {gaps[0]}, log loss {gaps[1]}; intervals hold nine times in ten"
        )
        tell(
            f"{one.moved:,} of {one.rows:,} enterprises come into another band of 20 points, "
            f"by {one.most} bands at most"
        )
