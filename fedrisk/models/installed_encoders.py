"""Trained encoders in an institution's store: which are installed, under what privacy, and whether they still fit.

An encoder that was trained with privacy is never replaced by one of a research run, and goes before it. Each belongs to
the series, bounds and months that it was trained for (`histories.EncoderRule.public_digest`).
"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedrisk.errors import ConfigError, PolicyError
from fedrisk.files import PUT_BACK, read_kept, write_atomic
from fedrisk.findings import Finding
from fedrisk.models.histories import EncoderRule
from fedrisk.models.trainable import TrainedModel


@dataclass(frozen=True)
class EncoderStatus:
    """The state of one encoder: whether it is trained, its columns (present or to come), and a finding about it."""

    name: str
    trained: bool
    columns: tuple[str, ...]
    finding: Finding


@dataclass(frozen=True)
class InstalledEncoders:
    """Files of trained encoders of one institution.

    Attributes:
        institution: its name.
        folder: where they lie.
        rules: the encoders that its file states.
    """

    institution: str
    folder: Path
    rules: tuple[EncoderRule, ...]

    def rule(self, name: str) -> EncoderRule:
        """The encoder called ``name``; ConfigError where the file has none."""
        for rule in self.rules:
            if rule.name == name:
                return rule
        known = ", ".join(e.name for e in self.rules) or "none"
        raise ConfigError(
            f"institution {self.institution} has no encoder {name} (it has: {known}); add [[encoders]]"
        )

    def save(self, name: str, model: TrainedModel) -> None:
        """Install a trained encoder; the columns are there from now on, in place of an earlier one's.

        One of a research run never takes the place of one that was trained with privacy. ``model.about`` says study,
        digest, mu, delta and research of its training. ConfigError where it was trained for other histories than
        this institution's file states.
        """
        rule = self.rule(name)
        if lacking := {"study", "digest", "mu", "delta", "research"} - model.about.keys():
            raise ConfigError(
                f"encoder {name}: about lacks {', '.join(sorted(lacking))}; say how it was trained"
            )
        trained_for = model.about.get("rule", rule.public_digest())
        about = {**model.about, "rule": trained_for}
        _check_rule(self.institution, rule, about)
        file = self._private_file(name)
        if about["research"]:
            file = self._research_file(name)
        else:
            self._research_file(name).unlink(missing_ok=True)
        write_atomic(file, dataclasses.replace(model, about=about).to_bytes())

    def load(self, name: str) -> TrainedModel | None:
        """The trained encoder in the institution's store, None where there is none.

        ConfigError where the file changed since in what it says of the histories, or the stored one is damaged.
        """
        rule, file = self.rule(name), self.file(name)
        if file is None:
            return None
        try:
            model = TrainedModel.from_bytes(read_kept(file, f"{PUT_BACK}, or train the encoder again"))
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from None
        _check_rule(self.institution, rule, model.about)
        return model

    def states(self) -> tuple[EncoderStatus, ...]:
        """For each encoder: not trained, damaged, or by which study it was trained and at which price."""
        return tuple(self._status(rule) for rule in self.rules)

    def _status(self, rule: EncoderRule) -> EncoderStatus:
        columns = f"{rule.columns[0]} to {rule.columns[-1]}" if rule.outputs > 1 else rule.columns[0]
        values: dict[str, Any] = {"encoder": rule.name, "columns": columns}
        model = None
        try:
            model = self.load(rule.name)
        except ConfigError as error:
            finding = Finding("encoder_damaged", {**values, "reason": str(error)})
        else:
            if model is None:
                finding = Finding("encoder_untrained", values)
            elif _not_private(model.about):
                finding = Finding("encoder_without_privacy", values)
            else:
                about = {"study": model.about["study"], "mu": model.about["mu"]}
                finding = Finding("encoder_trained", {**values, **about})
        return EncoderStatus(rule.name, model is not None, rule.columns, finding)

    def refuse_without_privacy(self, *, research: bool) -> None:
        """PolicyError where a release outside a research run would use an encoder trained without privacy."""
        if research:
            return
        for rule in self.rules:
            model = self.load(rule.name)
            if model is not None and _not_private(model.about):
                raise PolicyError(
                    f"{self.institution}: encoder {rule.name} was trained without privacy (study "
                    f"{model.about['study']}), and outside research runs its columns may not enter a release; train it "
                    f"again with a finite privacy.epsilon, or remove {self.file(rule.name)}"
                )

    def file(self, name: str) -> Path | None:
        """File of the encoder that is used: a private one where there is one, else that of a research run."""
        files = (self._private_file(name), self._research_file(name))
        return next((file for file in files if file.is_file()), None)

    def _research_file(self, name: str) -> Path:
        return self._private_file(name).with_suffix(".research.npz")

    def _private_file(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def _check_rule(institution: str, rule: EncoderRule, about: dict[str, Any]) -> None:
    if about["rule"] != rule.public_digest():
        raise ConfigError(
            f"{institution}: encoder {rule.name} in the store was trained for other series, bounds, months or outputs "
            "than [[encoders]] states; restore these, or train it again"
        )


def _not_private(about: dict[str, Any]) -> bool:
    mu = about["mu"]
    return bool(about["research"]) or mu is None or not math.isfinite(mu)
