"""A bank's own models, kept beside the card that they were fitted with, and applied to any row of its.

They are those of recipes/scorecard/own_models, as numbers: trees as arrays (models/forest), the linear model near the
card, the weights of each mean. In one file, NumPy's ``.npz`` with JSON inside; nothing in it is pickled. It never
leaves the bank.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.forest import Forest
from fedrisk.models.personal import LinearModel
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.stacking import averaged
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]

FILE = "own.npz"
"""Its name beside a bank's part of a model."""

FORMAT = 2
"""Of the file of models that hear themes; that of others is 1, which all versions read."""

Themes = Mapping[str, NDArray[Any]]
"""The holders' points by sum, (n,) each, where a bank gets several (recipes/scorecard/themes)."""


@dataclass(frozen=True)
class Said:
    """What a card says of rows: log-odds, (n,), and curves, (n, m), of which the last ``held`` are the holders'.

    external: the holders' part as one, (n,); None without holders.
    """

    log_odds: Floats
    curves: Floats
    held: int = 0
    external: Floats | None = None

    @classmethod
    def of(
        cls,
        card: Scorecard,
        codes: Sequence[NDArray[Any]],
        external: NDArray[Any] | None,
        themes: Themes | None = None,
    ) -> "Said":
        """By the codes of the bank's columns, (n,) each, and the holders' points on the card's scale, None without.

        themes: the same by theme. ConfigError where there are neither columns nor holders.
        """
        places = card.features_of(BANK) if len(codes) else []
        points = [np.asarray(card.points[j], np.int64) for j in places]
        own = [p[c] for p, c in zip(points, codes, strict=True)]
        curves = [(card.averages[j] - p) / card.scale.factor for j, p in zip(places, own, strict=True)]
        total = sum(own, start=np.zeros(1, np.int64)) + card.base_points
        held: list[Floats] = []
        whole = None
        if external is not None:
            whole, total = card.external_log_odds(external), total + external
            # Up to a constant each, which no model of them minds.
            held = [-np.asarray(p, np.float64) / card.scale.factor for p in (themes or {}).values()] or [
                whole
            ]
        if not curves and not held:
            raise ConfigError("a card says nothing of rows without columns and holders")
        return cls(logit(card.probability(total)), np.stack([*curves, *held], 1), len(held), whole)

    def told(self, *, beside_holders: bool) -> Floats:
        """What the bank's columns do not say: the holders' part, (n,), or without holders the whole card's log-odds.

        Where it comes by theme: the whole part and each theme, (n, 1 + themes).
        """
        if not beside_holders or self.external is None:
            return self.log_odds
        if self.held == 1:
            return self.external
        return np.column_stack([self.external, self.curves[:, -self.held :]])


@dataclass(frozen=True)
class OwnModel:
    """A bank's own models.

    Attributes:
        members: by name, the log-odds of each: trees, a linear model over the card's curves, or a constant; ``boosted``
            also hears the consortium. ``scorecard`` is the card itself and is in none of them.
        weights: of the members, by mean ("personal", "champion").
        best: which of ``scorecard``, ``alone``, ``personal`` and ``champion`` had the least log loss out of fold.
        beside_holders: whether the study had holders. themes: names of the sums that the models hear, where several.
    """

    members: Mapping[str, Forest | LinearModel | float]
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    best: str | None = None
    beside_holders: bool = True
    themes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The bank's columns that its models take, besides those of the card."""
        forests = (m for m in self.members.values() if isinstance(m, Forest))
        return tuple(dict.fromkeys(c for m in forests for c in m.columns))

    def probability(
        self,
        card: Scorecard,
        columns: Mapping[str, Any],
        codes: Sequence[NDArray[Any]],
        external: NDArray[Any] | None,
        themes: Themes | None = None,
    ) -> dict[str, Floats]:
        """Probability of default by model, (n,) each: ``alone``, ``personal``, ``champion`` and ``best`` where kept.

        The same as in the study for the same rows.

        Args:
            card: the calibrated one that they were fitted with.
            columns: the bank's columns by name, (n,) each, typed as in its table.
            codes: bin codes of its columns in the card, in the card's order.
            external: the holders' points on the card's scale, (n,); None in a study without holders.
            themes: the same by theme.

        Raises:
            DataError: a column is absent, or there are holders' points where the study had none, or the reverse, or
                other themes.
        """
        if (external is None) == self.beside_holders:
            raise DataError("own models hear what holders say exactly where their study had holders")
        if set(themes or {}) != set(self.themes):
            raise DataError(
                "own models hear the same themes as in their study; ask the model that they are kept with"
            )
        said = Said.of(card, codes, external, {name: (themes or {})[name] for name in self.themes})
        found = {name: self._log_odds(model, columns, said, name) for name, model in self.members.items()}
        final = {name: averaged({m: found[m] for m in w}, w) for name, w in self.weights.items()}
        final |= {"scorecard": said.log_odds} | ({"alone": found["alone"]} if "alone" in found else {})
        out = {name: expit(z) for name, z in final.items() if name != "scorecard"}
        return out | ({"best": expit(final[self.best])} if self.best is not None else {})

    def _log_odds(self, model: Forest | LinearModel | float, columns: Any, said: Said, name: str) -> Floats:
        if isinstance(model, LinearModel):
            return model.logits(said.curves, said.curves)
        if isinstance(model, Forest):
            told = said.told(beside_holders=self.beside_holders) if model.consortium else None
            return model.log_odds(columns, told)
        return np.full(len(said.log_odds), model)

    def to_bytes(self) -> bytes:
        """The file."""
        arrays: dict[str, NDArray[Any]] = {}
        members: dict[str, Any] = {}
        for name, model in self.members.items():
            if isinstance(model, Forest):
                arrays |= {f"{name}.{key}": array for key, array in model.arrays().items()}
                members[name] = {"forest": model.plain()}
            elif isinstance(model, LinearModel):
                arrays |= {f"{name}.slopes": model.slopes, f"{name}.weights": model.weights}
                members[name] = {"intercept": model.intercept}
            else:
                members[name] = {"constant": model}
        about = {
            "format": FORMAT if self.themes else 1,
            "members": members,
            "weights": self.weights,
            "best": self.best,
            "beside_holders": self.beside_holders,
            **({"themes": list(self.themes)} if self.themes else {}),
        }
        out = io.BytesIO()
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        np.savez_compressed(out, about=text, **arrays)  # type: ignore[arg-type]
        return out.getvalue()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "OwnModel":
        """Inverse of `to_bytes`; ConfigError where it is damaged or of a later version."""
        try:
            with np.load(io.BytesIO(raw), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about = json.loads(arrays.pop("about").tobytes())
            if about["format"] not in (1, FORMAT):
                raise ConfigError(f"own models are of format {about['format']}; upgrade fedrisk here")
            members = {name: _member(name, told, arrays) for name, told in about["members"].items()}
            themes = tuple(str(t) for t in about.get("themes", ()))
            return cls(members, about["weights"], about["best"], about["beside_holders"], themes)
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error):
            raise ConfigError(
                "the file of a bank's own models is damaged; put it back from its copy"
            ) from None


def _member(name: str, told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    own = {key.partition(".")[2]: a for key, a in arrays.items() if key.startswith(f"{name}.")}
    if "forest" in told:
        return Forest.from_parts(own, told["forest"])
    if "intercept" in told:
        return LinearModel(float(told["intercept"]), own["slopes"], own["weights"])
    return float(told["constant"])
