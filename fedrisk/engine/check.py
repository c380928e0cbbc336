"""Before a study runs: are tables, dictionaries and policies fit for it, what would it cost, can it gain?

Touches nothing but the institutions' own tables, releases nothing and spends nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fedrisk.alignment.matching import left_out_likelihood_ratio
from fedrisk.clients.agree import check_role, check_table_fits, study_features
from fedrisk.clients.node import Node
from fedrisk.data.features import Feature
from fedrisk.data.table import check_table
from fedrisk.engine.in_process import load_nodes
from fedrisk.errors import FedriskError
from fedrisk.models.binning import Bins, default_bin_count
from fedrisk.models.plan import (
    Release,
    budget,
    counts_release,
    edges_release,
    evaluation_release,
    expected_gain,
    participant_mu,
    total_mu,
)
from fedrisk.models.training import training_plan
from fedrisk.privacy.accounting import epsilon_for, readings
from fedrisk.study import Study


@dataclass(frozen=True)
class Line:
    """One institution: what it brings and what is wrong with it (``broken``) or worth knowing."""

    name: str
    role: str
    rows: int
    features: int
    findings: tuple[str, ...]
    broken: bool


@dataclass(frozen=True)
class Check:
    """institutions: a line each. releases: (name, mu, noise in words). sentences: what to expect."""

    institutions: tuple[Line, ...]
    releases: tuple[tuple[str, float, str], ...]
    sentences: tuple[str, ...]

    @property
    def broken(self) -> bool:
        """Whether an institution would refuse."""
        return any(line.broken for line in self.institutions)


def check_study(study: Study, institutions: Mapping[str, Path]) -> Check:
    """Check everything that can be checked on one machine; ConfigError where a file cannot be read at all."""
    nodes = load_nodes(institutions)
    lines: list[Line] = []
    features: list[Feature] = []
    banks: dict[str, list[Feature]] = {}
    for name, node in nodes.items():
        line, own = _institution(study, node)
        if name in study.banks:
            differ = banks.setdefault(study.banks[0], own) != own
            if differ:
                told = f"its columns are not those of {study.banks[0]}; banks of one study need the same dictionary"
                line = replace(line, findings=(told, *line.findings), broken=True)
        lines.append(line)
        if study.role_of(name) == "holder" or name == study.banks[0]:
            features += own
    if study.recipe != "scorecard":
        priced = _training(study, features)
        return Check(tuple(lines), tuple(priced), tuple(_training_sentences(study, lines)))
    if not features:
        return Check(tuple(lines), (), ("nothing to price: no institution brings a usable column",))
    return Check(tuple(lines), tuple(_releases(study, features)), tuple(_sentences(study, features, lines)))


def _institution(study: Study, node: Node) -> tuple[Line, list[Feature]]:
    """What describe would look at, every rule instead of the first one broken."""
    institution = node.institution
    findings: list[str] = []
    refused: list[str] = []
    features: list[Feature] = []
    rows = 0

    def try_to(step: Callable[[], object]) -> None:
        try:
            step()
        except FedriskError as error:
            refused.append(str(error))

    try_to(lambda: check_role(study, node))
    try_to(lambda: institution.policy.check(study, institution=node.name, research=False))
    dictionary, described = institution.dictionary, institution.described()
    if institution.table is not None and dictionary is not None and described is not None:
        if study.recipe != "encoder":
            try_to(lambda: institution.check_encoders(research=False))
        if study.recipe == "scorecard":
            findings += [f"note: {status.text}" for status in institution.encoder_status()]
        try_to(lambda: features.extend(study_features(study, node, described)))
        try:
            found = check_table(institution.table, dictionary, base=institution.folder)
            refused += [str(f) for f in found if f.severity == "error"]
            findings += [str(f) for f in found if f.severity != "error"]
            if not any(f.severity == "error" for f in found):
                table = institution.read()
                rows = len(table)
                check_table_fits(study, node, table)
        except FedriskError as error:
            refused.append(str(error))
        left = node.ledger.left(study=study.name, purpose=study.purpose)
        if participant_mu(study, node.name) > left * (1 + 1e-9):
            spare = epsilon_for(left, study.privacy.delta) if left > 0 else 0.0
            refused.append(f"budget left is epsilon {spare:.2f}, the study asks {study.privacy.epsilon:g}")
    line = Line(
        node.name, study.role_of(node.name), rows, len(features), (*refused, *findings), bool(refused)
    )
    return line, features


def _training(study: Study, features: list[Feature]) -> list[tuple[str, float, str]]:
    """What training and evaluation would cost."""
    edges = edges_release(study, features)
    plan = training_plan(study, edges=edges is not None)
    out = [("edges", edges.mu, _noise(edges))] if edges else []
    each = "of all trainers together" if study.training.mode == "shared_noise" else "of each trainer's own"
    noise = f"± {math.sqrt(plan.variance):.3g} in each number {each}" if plan.sigma else "none"
    out.append((f"training: {plan.sums} sums of clipped gradients", plan.mu, noise))
    if study.banks:
        evaluation = evaluation_release(study, study.evaluation.bins)
        out.append(("evaluation (hold-out)", evaluation.mu, _noise(evaluation)))
    return out


def _training_sentences(study: Study, lines: list[Line]) -> list[str]:
    out = _reading_sentences(study)
    plan = training_plan(study, edges=study.recipe == "neural")
    rows = sum(line.rows for line in lines if line.name in study.trainers)
    if rows and plan.sigma:
        training = rows * study.keep * (1 - study.holdout.percent / 100)
        noise = plan.gradient_noise(training)
        out.append(
            f"A number of the mean gradient has noise {noise:.2g} beside gradients of at most 1 in all: "
            + ("little" if noise < 0.004 else "much; expect a plainer model, or raise epsilon")
            + "."
        )
    left = len(study.trainers)
    lost = left - study.fewest
    out.append(
        f"{left} trainers, of which {lost} may be lost on the way (training.fewest = {study.fewest}); about "
        f"{8 + 2 * plan.steps if left > 1 else 7 + plan.steps} exchanges."
    )
    return out


def _releases(study: Study, features: list[Feature]) -> list[tuple[str, float, str]]:
    edges = edges_release(study, features)
    mus = budget(study, edges=edges is not None)
    expected = study.expected.enterprises or 10_000
    count = study.bins.count or default_bin_count(expected, mus["counts"], len(features))
    sizes: dict[str, list[int]] = {role: [] for role in study.roles}
    for f in features:
        bins = f.bin_count or count
        size = bins + f.missing if f.private_edges else Bins.public(f).size
        sizes[f.institution].append(size)
    counts = counts_release(study, sizes, mus["counts"])
    out = [("edges", edges.mu, _noise(edges))] if edges else [("edges", 0.0, "all bins are public")]
    out.append(("label counts", counts.mu, _noise(counts)))
    out.append(("Gram matrix, or counts again", mus["gram"], "by the radii of the curves"))
    evaluation = evaluation_release(study, study.evaluation.bins)
    out.append(("evaluation (hold-out)", evaluation.mu, _noise(evaluation)))
    return out


def _noise(release: Release) -> str:
    deviations = [math.sqrt(release.variance(b.name)) for b in release.blocks]
    low, high = min(deviations), max(deviations)
    return f"± {low:.0f}" if round(low) == round(high) else f"± {low:.0f} to {high:.0f}"


def _reading_sentences(study: Study) -> list[str]:
    privacy, mu = study.privacy, total_mu(study)
    if not math.isfinite(mu):
        return []
    r = readings(mu, privacy.delta)
    return [
        f"Each institution is charged epsilon {privacy.epsilon:g} at delta {privacy.delta:g} (mu {mu:.3f}); "
        f"with a label flipped it reads {r.label_flipped:.2f}, with an enterprise replaced {r.replaced:.2f}."
    ]


def _sentences(study: Study, features: list[Feature], lines: list[Line]) -> list[str]:
    out = _reading_sentences(study)
    if len(study.banks) > 1:
        ratio = left_out_likelihood_ratio(study.keep, 2) if study.keep < 1 else math.inf
        meaning = (
            f"changes the odds that it banks at a second one {ratio:.1f} times"
            if study.keep < 1
            else (
                "shows that it banks elsewhere too; set alignment.keep below 1 where enterprises have several banks"
            )
        )
        out.append(f"That an enterprise is left out at a bank {meaning}.")
    rate = study.expected.default_rate
    rows = study.expected.enterprises or sum(line.rows for line in lines if line.role == "bank")
    if not rows:
        out.append("Declare expected.enterprises to learn whether the positives suffice for a gain.")
        return out
    if rate is None:
        out.append("Declare expected.default_rate to learn whether the positives suffice for a gain.")
        return out
    training = rows * study.keep * (1 - study.holdout.percent / 100)
    mus = budget(study, edges=any(f.private_edges for f in features))
    room, words = expected_gain(training * rate, mus["counts"], len(features))
    out.append(
        f"About {training * rate:,.0f} positives in training for {len(features)} features: {words} (room {room:.0f})."
    )
    return out
