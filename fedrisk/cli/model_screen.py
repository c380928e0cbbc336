"""What ``fedrisk model`` shows: lists, one model for a person who approves, comparisons."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fedrisk.cli.output import out, plain_table, tell
from fedrisk.findings import Finding
from fedrisk.language import _
from fedrisk.language import about as of_label
from fedrisk.language_patterns import retold
from fedrisk.report.warning_words import missing_line, warning_line
from fedrisk.study import DEFAULT_LABEL

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
        "label": part.label or DEFAULT_LABEL,
        "banks": list(part.banks),
        "holders": list(part.holders),
        "state": state.name,
        "roles": dict(state.roles),
    }


def state_words(state: "State") -> str:
    """A state in words, with what a bank uses it as."""
    from fedrisk.report.words import word

    if not state.roles:
        return word("state", state.name)
    used = [_used(as_, product) for product, as_ in sorted(state.roles.items())]
    return _("{state} as {used}", state=word("state", state.name), used=", ".join(used))


def _used(as_: str, product: str | None) -> str:
    from fedrisk.report.words import word

    role = word("state", as_)
    return _("{role} for {product}", role=role, product=product) if product else role


def show_list(name: str, found: "Sequence[tuple[ModelPart, State]]") -> None:
    """A line for each model."""
    columns = ("model", "name", "version", "made", "state", "banks", "holders")
    table = plain_table(_("{name}: models", name=name), *columns, right=("version",), whole=("model", "made"))
    for part, state in found:
        members = ", ".join(part.banks), ", ".join(part.holders) or "–"
        table.add_row(
            part.model[:8], part.name, str(part.version), str(part.made), state_words(state), *members
        )
    out.print(table)


def about(node: "Node", part: "ModelPart", state: "State", against: Sequence[str]) -> dict[str, Any]:
    """Everything that is shown of a model, as plain values.

    bits: most that one answer, or one month of an index, tells of an enterprise, all its sums of points and the ages of
    records together; bits_of_a_sum and bits_of_ages: of these alone. None of what gives no points.
    """
    from fedrisk.clients.stated_seasons import stated_seasons
    from fedrisk.models.told_bits import ages_rule, told_bits

    columns = [
        {"column": b["column"], "kind": b["kind"], "bins": len(p), "least": min(p), "most": max(p)}
        | {"readable": part.readable[k] if k < len(part.readable) else None}
        for k, (b, p) in enumerate(zip(part.bins, part.points, strict=True))
    ]
    serving = node.institution.policy.serving
    told = told_bits(part, ages_rule(part, node.name, serving.ages))
    return {
        "institution": node.name,
        **summary_of(part, state),
        "study": part.study,
        "attempt": part.attempt,
        "fresh_days": part.fresh_days,
        "columns": columns,
        "seasons": stated_seasons(node, part.attempt),
        "given": None if part.given is None else sorted(set(part.given[1])),
        "values": part.values,
        "themes": [one.name for one in part.sums],
        "warning": None if part.warning is None else part.warning.to_dict(),
        "no_warning": _no_warning(node, part),
        "bits": None if told is None else told.answer,
        "bits_of_a_sum": None if part.values is None else math.log2(part.values),
        "bits_of_ages": None if told is None else told.ages,
        "index": None
        if part.index is None
        else {
            "moving": list(part.index.moving),
            "still": list(part.index.still),
            "months": serving.index_months,
            "error": None if part.index.scale is None else part.index.scale.error,
        },
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


def _no_warning(node: "Node", part: "ModelPart") -> tuple[str, float] | None:
    """Why a bank's model has no threshold of warnings though its study asks for one, with the stated rate."""
    from fedrisk.clients.warning_state import why_no_threshold

    if part.warning is not None or node.name not in part.banks or not part.attempt or part.edited:
        return None
    return why_no_threshold(node, part.attempt)


def show(node: "Node", part: "ModelPart", state: "State", content: Mapping[str, Any]) -> None:
    """One model for a person who approves."""
    tell(
        _(
            "model {model}: {name}, version {version}, made {made}; {state}",
            model=part.model,
            name=part.name,
            version=part.version,
            made=part.made,
            state=state_words(state),
        )
    )
    tell(_("purpose {purpose}; asked by {banks}", purpose=part.purpose, banks=", ".join(part.banks)))
    tell(
        _(
            "answered by {holders}: always all of them together",
            holders=", ".join(part.holders) or _("nobody else"),
        )
    )
    if part.label is not None:
        tell(_("label {label}", label=part.label))
    _show_warning(part, content["no_warning"])
    if content["columns"]:
        title = _("points that columns of {name} give or take", name=node.name)
        columns = ("column", "kind", "bins", "least", "most", "told")
        table = plain_table(title, *columns, right=columns[2:])
        for row in content["columns"]:
            told = "–" if row["readable"] is None else f"{row['readable']:.0%}"
            table.add_row(*(str(row[k]) for k in columns[:-1]), told)
        out.print(table)
        tell(
            _(
                "told: how far from blindly (0 %) to surely (100 %) a score tells its bin, by the card's form alone"
            )
        )
    for line in (*_seasons(content), *_what_it_tells(part, content)):
        tell(line)
    for change in content["history"]:
        used = _(" as {as_}", as_=change["as"]) if change["as"] else ""
        by = _("rule {who}", who=change["who"]) if change["by"] == "rule" else change["who"] or "?"
        why = f": {change['why']}" if change["why"] else ""
        tell(
            _(
                "{time} {state}{used} by {by}{why}",
                time=change["time"][:16].replace("T", " "),
                state=change["state"],
                used=used,
                by=by,
                why=why,
            )
        )
    for reason in content["by_form"]:
        tell(_("look closely: {reason}", reason=retold(reason)), "yellow")
    if content["answers_nobody"]:
        tell(content["answers_nobody"], "red")
    for reason in content["against"]:
        tell(_("against approving it: {reason}", reason=retold(reason)), "red")


def _show_warning(part: "ModelPart", missing: tuple[str, float] | None) -> None:
    """The threshold of warnings, or why there is none though the study asks for one."""
    if part.warning is not None:
        with of_label(part.label):
            tell(warning_line(part.warning))
    elif missing is not None:
        tell(missing_line(*missing), "yellow")


def _seasons(content: Mapping[str, Any]) -> list[str]:
    """Published seasonal indices that members of the model's study stated, theirs and this institution's."""
    from fedrisk.report.words import sentence

    said = [(name, one) for name, each in (content["seasons"] or {}).items() for one in each]
    return [f"{name}: {sentence(Finding('season_stated', one))}" for name, one in said]


def _what_it_tells(part: "ModelPart", content: Mapping[str, Any]) -> list[str]:
    """What answers tell a bank, in sentences."""
    lines = []
    if part.sums:
        names = ", ".join(one.name for one in part.sums)
        lines.append(
            _(
                "a bank sees {sums} sums of points, by theme ({names}), each of at most {values} values "
                "({bits:.1f} bits), and again whenever the data have changed",
                sums=len(part.sums),
                names=names,
                values=part.values,
                bits=content["bits_of_a_sum"],
            )
        )
    elif part.values is not None:
        lines.append(
            _(
                "a bank sees the sum of all holders' points, which takes at most {values} values: a score tells it "
                "{bits:.1f} bits of an enterprise at most, and again whenever the data have changed",
                values=part.values,
                bits=content["bits_of_a_sum"],
            )
        )
    if content["bits_of_ages"]:
        lines.append(
            _(
                "where all {members} members say so (policy.serving.ages), it sees with each score how many of them "
                "have a fresh, an aging, an old or no record: {bits:.1f} bits more",
                members=len(part.holders),
                bits=content["bits_of_ages"],
            )
        )
    lines += _of_this_holder(part, content)
    lines += _index_lines(part, content)
    lines.append(_("data older than {fresh_days} days count as missing", fresh_days=part.fresh_days))
    return lines


def _of_this_holder(part: "ModelPart", content: Mapping[str, Any]) -> list[str]:
    """What a bank is told of this holder, how often, and what that comes to; nothing at a bank."""
    if part.given is None:
        return []
    lines = []
    shared = _("hidden among the others'") if len(part.holders) > 1 else _("seen by the bank as it is")
    if own := [one for one in part.sums if one.features]:
        numbers = _(" and ").join(
            _("{values} for {name}", values=len(set(one.values)), name=one.name) for one in own
        )
        lines.append(
            _(
                "of this holder it has one of so many numbers: {numbers}; where it is alone in a theme, the "
                "bank sees its number as it is",
                numbers=numbers,
            )
        )
    else:
        lines.append(
            _(
                "of this holder it has one of {given} numbers, {shared}",
                given=len(content["given"]),
                shared=shared,
            )
        )
    lines.append(
        _(
            "consent: {consent_words}; at most {per_day:,} enterprises a day for each bank, and "
            "{per_enterprise} times the same one in 30 days",
            consent_words=retold(content["consent_words"]),
            per_day=content["per_day"],
            per_enterprise=content["per_enterprise"],
        )
    )
    if content["bits"] is not None:
        lines.append(
            _(
                "so this model tells each bank at most {total:,.0f} bits of an enterprise in 30 days: {number} times "
                "{bits:.1f}",
                total=math.ceil(content["per_enterprise"] * content["bits"]),
                number=content["per_enterprise"],
                bits=content["bits"],
            )
        )
    return lines


def _index_lines(part: "ModelPart", content: Mapping[str, Any]) -> list[str]:
    """What is to be known of an operating health index, in sentences."""
    index = content["index"]
    if index is None:
        return []
    lines = [
        _(
            "it is an operating health index; month by month: {columns}",
            columns=", ".join(index["moving"]) or "–",
        )
    ]
    if index["still"]:
        lines.append(_("as they are now in every month: {columns}", columns=", ".join(index["still"])))
    if part.given is not None:
        lines.append(
            _(
                "one answer tells {months} months at most (policy.serving.index_months), each {bits:.1f} bits and each "
                "counted as a score",
                months=index["months"],
                bits=content["bits"],
            )
        )
    elif index["error"] is not None:
        lines.append(_("its scale may be wrong by {error:.1f} points", error=index["error"]))
    return lines


def show_compared(name: str, found: "Sequence[Compared]") -> None:
    """Champion and challengers, a table and a sentence for each challenger."""
    for one in found:
        title = _(
            "{name}: {rows:,} enterprises held out by both, default rate {rate:.2%}",
            name=name,
            rows=one.rows,
            rate=one.rate,
        )
        columns = ("model", "", "AUC", "Brier", "mean probability")
        table = plain_table(title, *columns, right=columns[2:])
        for figures, what in ((one.champion, "champion"), (one.challenger, "challenger")):
            numbers = f"{figures.auc:.4f}", f"{figures.brier:.4f}", f"{figures.probability:.2%}"
            table.add_row(figures.model[:8], what, *numbers)
        out.print(table)
        gaps = [
            _("{value:+.4f} ({low:+.4f} to {high:+.4f})", value=d.value, low=d.low, high=d.high)
            for d in (one.auc, one.log_loss)
        ]
        tell(
            _(
                "the challenger is {verdict}: AUC {gaps}, log loss {gaps2}; intervals hold nine times in ten",
                verdict=one.verdict,
                gaps=gaps[0],
                gaps2=gaps[1],
            )
        )
        tell(
            _(
                "{moved:,} of {rows:,} enterprises come into another band of 20 points, by {most} bands at most",
                moved=one.moved,
                rows=one.rows,
                most=one.most,
            )
        )
