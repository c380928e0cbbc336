"""A measure on the screen: what is summed, who is behind it, and what an answer tells."""

from typing import TYPE_CHECKING, Any, Final

from fedrisk.cli.output import note, out, plain_table, tell

if TYPE_CHECKING:
    from fedrisk.models.model_part import ModelPart
    from fedrisk.serving.measures import Measure, Term

KNOWN: Final = {
    "sum": "lenders",
    "count": "lenders",
    "related": "loans by lender and enterprise",
    "ratio": "know it",
    "index": "know it",
}
"""What the number beside a value counts, by kind."""

TELLS: Final = {
    "sum": "the sum over all that answer, and how many lend; where one lends alone, its figure, and not whose it is",
    "count": "how many lend, and not who",
    "related": "the sum over all that answer and all enterprises of a row, and how many loans there are",
    "ratio": "the quotient of both figures where both know the enterprise, and nothing else; whoever has one of the "
    "figures has the other",
    "index": "the weighted sum over all that answer, and how many know the enterprise",
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
    unit = f", in {measure.unit}" if measure.unit else ""
    title = f"{measure.name}, version {part.version} ({part.model}), {state}: {measure.meaning}{unit}"
    tell(title)
    table = plain_table("", "member", "gives", "numbers", "at most", right=("numbers", "at most"))
    for term in measure.terms:
        low, high = measure.steps_of(term.member)
        bits = f"{measure.bits_of(term.member):.1f} bits"
        table.add_row(term.member, _gives(measure, term), f"{high - low + 1:,}", bits)
    out.print(table)
    ids = f" a row of up to {measure.most_related} enterprises" if measure.most_related else " an enterprise"
    for bank in measure.banks:
        note(
            f"{bank} learns at most {measure.bits(bank):.1f} bits of{ids}, from {', '.join(measure.responders(bank))}",
            style=None,
        )
    note(f"An answer tells {TELLS[measure.kind]}.", style=None)
    note(f"purpose {measure.purpose}; rows older than {measure.fresh_days} days count as unknown", style=None)


def _gives(measure: "Measure", term: "Term") -> str:
    if measure.kind == "count":
        return f"1 where {term.column} is above 0"
    if measure.kind == "ratio":
        return f"logarithm of {term.column}, {term.low:,g} to {term.high:,g}, to {measure.step:g}"
    if measure.kind == "index":
        return (
            f"{term.weight:g} times {term.column}, less {term.mean:g}, over {term.deviation:g}, within "
            f"{measure.clip:g}, to {measure.step:g}"
        )
    return f"{term.column}, 0 to {measure.high:,g}, to {measure.step:,g}"
