"""The plan of a study: every release, its noise and its price, made once on each side from public numbers.

Hub and institutions make the same plan by the same code (the recipe's), so that each institution computes its noise
itself and trusts nobody for it. Some releases have a form that follows from earlier released numbers (bins, radii);
they are in the plan with their price from the beginning and get their form later, by :meth:`Plan.with_released`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fedrisk.data.features import Feature
from fedrisk.errors import ProtocolError
from fedrisk.findings import Finding
from fedrisk.releases.gradient_sums import TrainingPlan
from fedrisk.releases.release import Planned, Release


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All releases of a study, in the order in which they are made.

    planned: the releases; where two of them share a part of the budget, a study makes one of the two. price: most
    that each institution may be charged, as Gaussian-DP mu for each population. features: public columns of all
    roles that the study uses, with the bins that the plan gives them. training: the noisy sums of gradients, where the
    recipe trains a model. sample_rows: rows on which a release is computed at most, where it takes a sample. findings:
    what the plan does otherwise than the dictionaries ask, and why.
    """

    planned: tuple[Planned, ...]
    price: Mapping[str, float]
    features: tuple[Feature, ...] = ()
    training: TrainingPlan | None = None
    sample_rows: int | None = None
    findings: tuple[Finding, ...] = ()

    def find(self, name: str) -> Planned | None:
        """The planned release of that name, or None."""
        return next((p for p in self.planned if p.name == name), None)

    def mu(self, name: str) -> float:
        """Price of a planned release; ProtocolError where the plan has none of that name."""
        return self._planned(name).mu

    def release(self, name: str) -> Release:
        """A release whose form is known; ProtocolError where it is not planned, or not prepared yet."""
        release = self._planned(name).release
        if release is None:
            raise ProtocolError(f"release {name} was never prepared here; run the study again")
        return release

    def prepared(self, name: str) -> bool:
        """Whether a release's form is known."""
        found = self.find(name)
        return found is not None and found.release is not None

    def with_released(self, release: Release) -> "Plan":
        """The plan with the form of one release, now that it is known.

        ProtocolError where the plan has no such release at this price, or the form was set before.
        """
        before = self._planned(release.name)
        if before.release is not None:
            raise ProtocolError(f"release {release.name} was prepared twice; run the study again")
        if (before.mu, before.population) != (release.mu, release.population):
            raise ProtocolError(f"release {release.name} is planned at another price; run the study again")
        after = Planned.of(release)
        return replace(self, planned=tuple(after if p.name == release.name else p for p in self.planned))

    @property
    def trained(self) -> TrainingPlan:
        """The noisy sums of gradients; ProtocolError where the recipe trains nothing."""
        if self.training is None:
            raise ProtocolError("this study trains nothing; hub and institution must run the same version")
        return self.training

    def _planned(self, name: str) -> Planned:
        found = self.find(name)
        if found is None:
            raise ProtocolError(
                f"release {name} is unknown here; hub and institution must run the same version"
            )
        return found
