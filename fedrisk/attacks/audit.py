"""The audit of mu: what a record really spends in every kind of release, against what is charged for it."""

from collections.abc import Iterator
from pathlib import Path

from fedrisk.attacks.attack import Attack, Effort, Measured
from fedrisk.attacks.audit_exact import EVERYWHERE, Spent, audited
from fedrisk.attacks.audit_one_run import guessed
from fedrisk.attacks.audit_sampled import Sampled, sampled
from fedrisk.attacks.audit_settings import EPSILON, settings
from fedrisk.attacks.audit_trial import Trial
from fedrisk.attacks.controls import without_noise

NAME = "audit"
EXACT = "Dong, Roth & Su (2022)"
MANY = "Nasr et al. (2023)"
ONE = "Steinke, Nasr & Jagielski (2023); Mahloujifar et al. (2024)"

ALPHA = 1e-5
"""Chance that a bound by samples lies above the truth; a full audit has fewer than 60: together below .001."""

VARIANTS, QUICK_VARIANTS = 10, 4
"""Records that are tried at each institution."""

RUNS, QUICK_RUNS = 60_000, 15_000
"""Samples with a record, and as many without."""


def run(folder: Path, effort: Effort) -> Iterator[Measured]:
    """Exact audits of all settings, the same by samples, one study with many records, and controls."""
    for setting in settings(effort.quick):
        trial = Trial(setting, folder / setting.name, effort.seed)
        spent = list(audited(trial, QUICK_VARIANTS if effort.quick else VARIANTS))
        yield from exact_figures(trial, spent)
        runs = QUICK_RUNS if effort.quick else RUNS
        yield from (sampled_figure(trial, found) for found in sampled(trial, runs, ALPHA))
    bounds, claimed, records = guessed(folder / "coins", effort.seed, EPSILON, ALPHA)
    yield Measured(
        attack=NAME,
        target="statistics/one_study",
        party="holder_zeroed",
        figure="mu",
        value=bounds.value,
        low=bounds.low,
        high=bounds.high,
        confidence=1 - ALPHA,
        chance=0.0,
        claimed=claimed,
        trials=records,
        method=ONE,
    )
    yield from _controls(folder / "controls", effort)


def exact_figures(trial: Trial, spent: list[Spent], control: str = "") -> Iterator[Measured]:
    """The most that a change spends, by release and whose record, and by all releases of a population together."""
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for found in spent:
        party = party_of(trial, found)
        pairs = [(kind, mu, found.claimed.get(kind, 0.0)) for kind, mu in found.mu.items()]
        pairs += [(f"all_{name}", mu, claimed) for name, mu, claimed in found.composed]
        for kind, mu, claimed in pairs:
            if mu >= best.get((kind, party), (0.0, 0.0))[0]:
                best[kind, party] = mu, claimed
    for (kind, party), (mu, claimed) in best.items():
        if mu > 0:
            yield Measured(
                attack=NAME,
                target=f"{trial.setting.recipe}/{kind}/{trial.setting.name}",
                party=party,
                figure="mu",
                value=mu,
                low=mu,
                high=mu,
                confidence=1.0,
                chance=0.0,
                claimed=claimed,
                control=control,
                trials=len(trial.runs),
                method=EXACT,
            )


def sampled_figure(trial: Trial, found: Sampled, control: str = "") -> Measured:
    """One bound by samples."""
    return Measured(
        attack=NAME,
        target=f"{trial.setting.recipe}/{found.kind}/{trial.setting.name}",
        party=party_of(trial, found),
        figure="mu_by_samples",
        value=found.bounds.value,
        low=found.bounds.low,
        high=found.bounds.high,
        confidence=1 - ALPHA,
        chance=0.0,
        claimed=found.claimed,
        control=control,
        trials=2 * found.runs,
        method=MANY,
    )


def party_of(trial: Trial, found: Spent | Sampled) -> str:
    """Code of whose record it is, and how it changes."""
    if found.party == EVERYWHERE:
        return f"everywhere_{found.relation}"
    kind = "bank" if found.party in trial.run.study.banks else "holder"
    return f"{kind}_{found.relation}"


def _controls(folder: Path, effort: Effort) -> Iterator[Measured]:
    """Without noise nothing bounds mu; an enterprise that a bank lists under two ids spends twice what is claimed."""
    (setting,) = [s for s in settings(quick=True) if s.name == "three_banks"]
    with without_noise():
        trial = Trial(setting, folder / "noise", effort.seed)
        spent, by_samples = list(audited(trial, 2)), sampled(trial, 2000, ALPHA)
    # Not before noise is on again: whoever takes figures one by one has this process between them.
    yield from worst_of(exact_figures(trial, spent, control="noise"))
    yield from worst_of(sampled_figure(trial, found, control="noise") for found in by_samples)
    trial = Trial(setting, folder / "twice", effort.seed, copies=2)
    yield from worst_of(exact_figures(trial, list(audited(trial, 2)), control="two_ids"))
    yield from worst_of(
        sampled_figure(trial, found, control="two_ids") for found in sampled(trial, QUICK_RUNS, ALPHA)
    )


def worst_of(figures: Iterator[Measured]) -> Iterator[Measured]:
    """The figure that lies furthest above what is claimed; nothing of none."""
    yield from sorted(figures, key=lambda f: -f.low / (f.claimed or 1.0))[:1]


ATTACK = Attack(
    name=NAME,
    attacker="Whoever sees all that is released, together with as many institutions as the study tolerates.",
    knows="Every record but one, everything that is released, and the noise of those who are on its side.",
    wants="Whether one enterprise's record at one institution is there, what its label is, or which of two it is.",
    how=(
        "Small studies of every recipe run through the institutions' real programs, again and again, with nothing but "
        "one record changed: made empty, given the other label, or replaced by rows at all bounds and by those that "
        "released numbers single out. What that moves in the exact sums, over the noise that is left against the "
        "attacker, is the mu that is really spent. The noise is then drawn thousands of times by the institutions' own "
        "sampler and the record is guessed, and in one study the presence of 2,500 records at once."
    ),
    sources=(EXACT, MANY, ONE),
    run=run,
)
