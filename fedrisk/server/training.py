"""Training over masked, noisy sums, from the hub's side: set-up, steps, recovery from drop-outs.

The same for networks at banks and for encoders at data holders; what is trained is a vector of weights to the
hub. It sends the weights, gets the noisy total of all trainers' clipped gradients (distributed) or of their
changes to the model (silo), and moves. Each step is two exchanges, masked sums and the opening of masks
(see secure/double_mask), and a third between them where somebody was lost: the survivors confirm to each other who they
are (secure/survivors). A trainer alone needs no masks, as its own noise is whole.

Every total is kept in the journal, and the model of any step is redone from the totals: a run that was stopped goes on
where it was, at no further price.
"""

import functools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import LostError, TrainingError
from fedrisk.models.trainable import MOST_WEIGHT, TrainedModel, about_training
from fedrisk.models.tuning import Tuning
from fedrisk.progress import counted
from fedrisk.protocol.payload import Payload, spends_in
from fedrisk.releases.gradient_sums import TrainingPlan
from fedrisk.releases.record import ReleasedBlock, ReleasedSums
from fedrisk.secure import double_mask, step_keys
from fedrisk.secure.fixed_point import BITS, dequantise
from fedrisk.server.noisy_sums import NoisySums
from fedrisk.server.optimiser import Optimiser
from fedrisk.server.outcome import TrainingFigures

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """What rounds of training came to.

    final: (d,) the trained weights. norms: L2 norm of the average change that each step proposed, from released
    sums. lost: by trainer, the step from which on it was gone.
    """

    final: Floats
    norms: tuple[float, ...]
    lost: Mapping[str, int]


class Rounds:
    """The rounds of one training over an exchange."""

    def __init__(self, sums: NoisySums, plan: TrainingPlan, tuning: Tuning) -> None:
        """``tuning``: what the recipe takes by default and the study chose."""
        self.exchange, self.roster, self.sums = sums.exchange, sums.roster, sums
        self.plan, self.tuning = plan, tuning
        self._keys: dict[str, step_keys.StepKeys] = {}
        self._shares: Mapping[str, Mapping[str, bytes]] = {}
        self.active: list[str] = list(plan.trainers)
        self.lost: dict[str, int] = {}

    @property
    def terms(self) -> step_keys.Terms:
        """What all trainers sign."""
        plan, study = self.plan, self.roster.study
        return step_keys.Terms.of(
            study.digest(),
            self.exchange.attempt,
            plan.trainers,
            plan.steps,
            plan.threshold,
            self.exchange.view,
        )

    def set_up(self, design: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        """Two exchanges: what is trained is told to all, step keys and sealed shares of them come back.

        context: what the numbers of all steps refer to, for the record: the design, and bins of the model's columns.
        """
        study, trainers = self.roster.study, self.plan.trainers
        self.sums.record = replace(self.sums.record, context=dict(context))
        self.exchange.tell("training", {"design": dict(design), "rate": self.tuning.rate})
        members = [*study.banks, *study.holders]
        answers = self.exchange(
            "prepare", "bins and model, keys for masks", dict.fromkeys(members, Payload())
        )
        charged = [spend for a in answers.values() for spend in spends_in(a)]
        if charged:
            self.sums.record = self.sums.record.with_release(
                ReleasedSums(
                    name=charged[0]["release"],
                    population="training",
                    mu=float(charged[0]["mu"]),
                    blocks=(),
                    spends=tuple(charged),
                )
            )
        if len(trainers) > 1:
            keys = {name: answers[name].get("step_keys") for name in trainers}
            self._keys = {name: step_keys.StepKeys.from_dict(k) for name, k in keys.items()}
            sealed = self.exchange(
                "shares", "sealed shares of the keys", dict.fromkeys(trainers, Payload({"step_keys": keys}))
            )
            self._shares = {
                name: {giver: sealed[giver].raw(name) for giver in trainers if giver != name}
                for name in trainers
            }

    def run(self, start: NDArray[np.float32]) -> Trained:
        """All steps from these weights on; totals that were kept before a stop are taken as they are.

        Raises TrainingError where the weights leave all sense, PeerError where too few trainers are left.
        """
        optimiser = Optimiser(start.astype(float), self.tuning)
        weights, norms = [], []
        for number in counted("training steps", range(self.plan.steps)):
            at = optimiser.weights
            kept = self.exchange.once(f"step_{number}", functools.partial(self._step, number, at))
            self.lost = dict(kept.get("lost"))
            self.active = [n for n in self.plan.trainers if n not in self.lost]
            self._record(number, kept)
            change = self._change(kept)
            norms.append(float(np.linalg.norm(change)))
            weights.append(self._sensible(optimiser.step(change), number))
        last = max(1, round(self.tuning.averaged * len(weights)))
        return Trained(np.mean(weights[-last:], axis=0), tuple(norms), dict(self.lost))

    def _sensible(self, weights: Floats, number: int) -> Floats:
        """The weights after a step; TrainingError where they left all sense, by released numbers alone.

        After every step, the last one too: what diverged is neither sent to a trainer nor handed out as a model.
        """
        if bool((np.abs(weights) <= MOST_WEIGHT).all()):  # not so where one is NaN
            return weights
        plan = self.plan
        spent = math.sqrt((number + 1) / plan.steps) * plan.mu
        price = "" if not math.isfinite(spent) else f" (mu {spent:.3g} of {plan.mu:.3g})"
        raise TrainingError(
            f"the training diverged in step {number + 1} of {plan.steps}: weights went beyond {MOST_WEIGHT:g}, where "
            "no model has learnt anything. It was stopped and left no model; what the steps so far cost stays charged"
            f"{price}. Lower training.learning_rate (it is {self.tuning.rate:.3g}) or training.clip (it is "
            f"{plan.clip:g}), or leave them out. Where they are not the cause, trainers were sent different weights, "
            "or one of them changed its sum"
        )

    def _record(self, number: int, kept: Payload) -> None:
        """Enter a round's total into the record, also one that the checkpoint had."""
        total = kept.array("total")
        survivors = list(kept.get("survivors"))
        # In silo mode noise went through each trainer's steps, so that its variance in the total is not known here.
        one = (self.plan.sigma / 2.0**BITS) ** 2
        variance = one * len(survivors) if self.plan.distributed else None
        block = ReleasedBlock(
            name="update", left="trainers", right="trainers", total=total, variance=variance
        )
        release = self.plan.release(number, len(total))
        self.sums.record = self.sums.record.with_release(
            ReleasedSums(
                name=release.name,
                population=release.population,
                mu=release.mu,
                blocks=(block,),
                spends=tuple(kept.get("spends")),
                about={"survivors": survivors},
            )
        )

    def figures(self, trained: Trained, kind: str) -> TrainingFigures:
        """Public numbers of the training for the results; ``kind`` of model."""
        plan = self.plan
        return TrainingFigures(
            kind=kind,
            mode=self.roster.study.training.mode,
            parameters=len(trained.final),
            steps=plan.steps,
            sums=plan.sums,
            clip=plan.clip,
            noise=math.sqrt(plan.variance),
            rate=self.tuning.rate,
            optimiser=self.tuning.optimiser,
            adam_step=self.tuning.adam_step,
            trainers=len(plan.trainers),
            threshold=plan.threshold,
            norms=tuple(trained.norms),
            lost=dict(trained.lost),
        )

    def model(self, trained: Trained, design: dict[str, Any]) -> bytes:
        """The trained weights with their design, as the bytes of a ``.npz`` file."""
        about = about_training(
            self.roster.study,
            self.exchange.attempt,
            self.plan.mu,
            research=self.roster.research_seed is not None,
        )
        return TrainedModel(trained.final.astype(np.float32), design, about).to_bytes()

    def _change(self, kept: Payload) -> Floats:
        """(d,) what a round proposes: a step against the mean gradient, or the trainers' mean change."""
        # Rows with a label, by public numbers: the others added nothing.
        total, rows = kept.array("total"), self.roster.labelled
        there = sum(rows[name] for name in kept.get("survivors"))
        if self.plan.distributed:
            return -self.tuning.rate * total / there
        return total * (sum(rows[name] for name in self.plan.trainers) / there)

    def _step(self, number: int, weights: Floats) -> Payload:
        """One round: vectors, then shares that open the masks.

        Who sent a vector is kept before any mask is opened: nodes answer for one list of survivors only.
        """
        trainers, what = self.plan.trainers, f"step {number + 1} of {self.plan.steps}"
        request = {
            name: Payload(
                {"step": number},
                {"weights": weights, **(self._shares.get(name, {}) if number == 0 else {})},
            )
            for name in self.active
        }
        if len(trainers) == 1:
            answers = self.exchange("step", what, request)
            total = answers[trainers[0]].array("update")
        else:
            answers = self._gather("step", what, request)
            self._mark_lost(answers, number, what)
            vectors = {name: a.array("update") for name, a in answers.items()}
            total = self._opened(number, vectors, double_mask.weights_digest(weights), what)
        spends = [spend for a in answers.values() for spend in spends_in(a)]
        notes = {"survivors": sorted(answers), "lost": dict(self.lost), "spends": spends}
        return Payload(notes, {"total": dequantise(total)})

    def _gather(self, action: str, what: str, request: Mapping[str, Payload]) -> dict[str, Payload]:
        """Answers of who is there; an exchange with too few of them is not over."""
        return self.exchange.gather(action, what, request, fewest=self.plan.threshold)

    def _opened(
        self, number: int, vectors: Mapping[str, NDArray[np.uint64]], bound: str, what: str
    ) -> NDArray[np.uint64]:
        lost = [name for name in self.plan.trainers if name not in vectors]
        lists = {"step": number, "survivors": sorted(vectors), "lost": lost}
        signatures = self._confirmed(lists, what) if lost else {}
        request = Payload(lists, signatures)
        asked = [name for name in sorted(vectors) if name in self.active]
        answers = self._gather("unmask", f"masks of {what}", dict.fromkeys(asked, request))
        self._mark_lost(answers, number + 1, what)
        revealed = {n: double_mask.Revealed.from_dict(a.get("revealed")) for n, a in answers.items()}
        return double_mask.recover(self.terms, self._keys, number, vectors, revealed, bound)

    def _confirmed(self, lists: Mapping[str, Any], what: str) -> dict[str, bytes]:
        """The survivors' signatures of who they are; whoever gives none is lost from the next step on."""
        request = dict.fromkeys(lists["survivors"], Payload(lists))
        answers = self._gather("confirm", f"survivors of {what}", request)
        self._mark_lost(answers, lists["step"] + 1, what)
        return {name: answer.raw("signature") for name, answer in answers.items()}

    def _mark_lost(self, answers: Collection[str], number: int, what: str) -> None:
        """Whoever did not answer is lost from this step on; PeerError where too few are left."""
        for name in [n for n in self.active if n not in answers]:
            self.lost.setdefault(name, number)
        self.active = [n for n in self.active if n in answers]
        if len(self.active) < self.plan.threshold:
            raise LostError(
                f"{what}: {', '.join(sorted(self.lost))} lost, {len(self.active)} trainers are left and "
                f"training.threshold is {self.plan.threshold}. The sum of this step was not opened; see that the nodes "
                "run, and go on with --resume within a day, or run the study again"
            )
