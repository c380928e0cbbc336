"""What a report says of a training, as codes and figures."""

from fedrisk.findings import Finding
from fedrisk.recipe import Cell, Section
from fedrisk.server.outcome import Outcome


def summarise(outcome: Outcome) -> tuple[Section, ...]:
    """Model, mode, clipping, noise, learning rate and lost trainers; the length of each step's proposed change."""
    t = outcome.training
    if t is None:
        return ()
    mode = "one_trainer" if t.trainers == 1 else t.mode
    rate = "rate_adam" if t.optimiser == "adam" else "rate"
    rows: list[tuple[Cell, ...]] = [
        ("model", Finding("model", {"kind": t.kind, "parameters": t.parameters})),
        ("mode", Finding(f"mode_{mode}", {"steps": t.steps, "sums": t.sums})),
        ("one_enterprise", Finding("adds_at_most", {"clip": t.clip})),
        ("noise_in_a_sum", Finding("deviation", {"noise": t.noise}) if t.noise else Finding("no_noise")),
        (
            "learning_rate",
            Finding(rate, {"rate": t.rate, "optimiser": t.optimiser, "adam_step": t.adam_step}),
        ),
    ]
    for name, step in t.lost.items():
        rows.append(("lost", Finding("lost_from", {"trainer": name, "step": step + 1})))
    return (Section(code="training", rows=tuple(rows), line=tuple(t.norms)),)
