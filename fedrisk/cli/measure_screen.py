"""A measure on the screen: what is summed, who is behind it, and what an answer tells."""

from typing import TYPE_CHECKING, Any, Final

from fedrisk.cli.output import note, out, plain_table, tell
from fedrisk.language import N_, _

if TYPE_CHECKING:
    from fedrisk.models.model_part import ModelPart
    from fedrisk.serving.measures import Measure, Term

KNOWN: Final = {
    "sum": N_("lenders"),
    "count": N_("lenders"),
    "related": N_("loans by lender and enterprise"),
    "ratio": N_("know it"),
    "index": N_("know it"),
}
"""What the number beside a value counts, by kind."""

TELLS: Final = {
    "sum": N_(
        "the sum over all that answer, and how many lend; where one lends alone, its figure, and not whose it is"
    ),
    "count": N_("how many lend, and not who"),
    "related": N_("the sum over all that answer and all enterprises of a row, and how many loans there are"),
    "ratio": N_(
        "the quotient of both figures where both know the enterprise, and nothing else; whoever has one of the "
        "figures has the other"
    ),
    "index": N_("the weighted sum over all that answer, and how many know the enterprise"),
}
"""What an answer tells, by kind."""


def told(measure: "Measure", part: "ModelPart", state: str) -> dict[str, Any]:
    """A measure as JSON."""
    return {
        "id": part.model,
        "name": measure.name,
        "version": part.version,
        "state": state,
        "tells": TELLS[measure.kind],
        "bits_of_member": {m: round(measure.bits_of(m), 1) for m in measure.members},
        "bits": {b: round(measure.bits(b), 1) for b in measure.banks},
        "measure": measure.model_dump(mode="json", exclude_none=True),
    }


def show_measure(measure: "Measure", part: "ModelPart", state: str) -> None:
    """One measure as a table with what it tells."""
    unit = _(", in {unit}", unit=measure.unit) if measure.unit else ""
    title = _(
        "{name}, version {version} ({model}), {state}: {meaning}{unit}",
        name=measure.name,
        version=part.version,
        model=part.model,
        state=state,
        meaning=measure.meaning,
        unit=unit,
    )
    tell(title)
    table = plain_table("", "member", "gives", "numbers", "at most", right=("numbers", "at most"))
    for term in measure.terms:
        low, high = measure.steps_of(term.member)
        bits = _("{bits_of:.1f} bits", bits_of=measure.bits_of(term.member))
        table.add_row(term.member, _gives(measure, term), f"{high - low + 1:,}", bits)
    out.print(table)
    ids = (
        _(" a row of up to {most_related} enterprises", most_related=measure.most_related)
        if measure.most_related
        else _(" an enterprise")
    )
    for bank in measure.banks:
        note(
            _(
                "{bank} learns at most {bits:.1f} bits of{ids}, from {responders}",
                bank=bank,
                bits=measure.bits(bank),
                ids=ids,
                responders=", ".join(measure.responders(bank)),
            ),
            style=None,
        )
    note(_("An answer tells {figures}.", figures=_(TELLS[measure.kind])), style=None)
    note(
        _(
            "purpose {purpose}; rows older than {fresh_days} days count as unknown",
            purpose=measure.purpose,
            fresh_days=measure.fresh_days,
        ),
        style=None,
    )


def _gives(measure: "Measure", term: "Term") -> str:
    if measure.kind == "count":
        return _("1 where {column} is above 0", column=term.column)
    if measure.kind == "ratio":
        return _(
            "logarithm of {column}, {low:,g} to {high:,g}, to {step:g}",
            column=term.column,
            low=term.low,
            high=term.high,
            step=measure.step,
        )
    if measure.kind == "index":
        return _(
            "{weight:g} times {column}, less {mean:g}, over {deviation:g}, within {clip:g}, to {step:g}",
            weight=term.weight,
            column=term.column,
            mean=term.mean,
            deviation=term.deviation,
            clip=measure.clip,
            step=measure.step,
        )
    return _(
        "{column}, 0 to {high:,g}, to {step:,g}", column=term.column, high=measure.high, step=measure.step
    )
