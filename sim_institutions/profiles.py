"""Profiles: which institutions there are, how many enterprises, and who borrows."""

from dataclasses import dataclass, replace
from typing import Literal

from sim_institutions.ids import Style

Name = Literal["demo", "interactions", "consortium", "province"]


@dataclass(frozen=True, kw_only=True)
class Bank:
    """One bank's size and taste.

    weight: share of the market, up to a constant. rural: taste for farms and small counties. cluster: taste
    for enterprises of the export clusters. strict: how much more merit it asks for than the average bank, in
    standard deviations of its view of the applicant. blind: noise in that view. sloppy: how many gaps its
    records have, against 1 at the average bank. ids: how it writes ids.
    """

    name: str
    title: str
    weight: float
    rural: float = 0.0
    cluster: float = 0.0
    strict: float = 0.0
    blind: float = 1.0
    sloppy: float = 1.0
    ids: Style = "plain"


CITY = Bank(name="city_bank", title="a city bank, the largest lender", weight=6.0, strict=0.1)
RURAL = Bank(
    name="rural_bank", title="a rural bank: farms, small counties", weight=3.0, rural=1.6, ids="spaced"
)
QUICK = Bank(
    name="quick_bank",
    title="a careless bank: quick decisions, poor records",
    weight=1.8,
    strict=-0.8,
    blind=2.0,
    sloppy=4.7,
    ids="lower",
)
CLUSTER = Bank(name="cluster_bank", title="a bank in an export cluster", weight=1.5, cluster=2.5, strict=0.1)


def _others() -> tuple[Bank, ...]:
    """Thirteen ordinary banks, each a little smaller than the one before."""
    styles: tuple[Style, ...] = ("plain", "plain", "lower", "plain", "full_width")
    return tuple(
        Bank(
            name=f"bank_{i:02d}",
            title=f"commercial bank number {i}",
            weight=3.2 * 0.84 ** (i - 5),
            rural=(0.0, 0.6, -0.4)[i % 3],
            strict=(0.0, 0.3, -0.2, 0.1)[i % 4],
            blind=(1.0, 0.8, 1.3)[i % 3],
            sloppy=(0.7, 1.0, 1.6, 0.5)[i % 4],
            ids=styles[i % 5],
        )
        for i in range(5, 18)
    )


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is simulated.

    banks, holders: the institutions. default_rate: share of borrowers over 90 days late within 12 months.
    individual: share of individually owned businesses. vendors: share of street vendors among the
    individually owned businesses of trade and services. invisible: share of enterprises that no lender knows.
    applying: of the others, the share that applies for a loan. approval: of those, the share that gets one.
    smallest: with fewer enterprises the study has too few rows or defaults at some bank. epsilon: of the
    study. interactions: whether default depends on strong interactions (``health.crossed``).
    """

    name: Name
    enterprises: int
    banks: tuple[Bank, ...]
    holders: tuple[str, ...]
    default_rate: float
    individual: float
    vendors: float
    invisible: float
    applying: float
    approval: float
    smallest: int
    epsilon: float = 1.0
    interactions: bool = False

    @property
    def borrowers(self) -> float:
        """Share of enterprises with a loan, approximately."""
        return (1 - self.invisible) * self.applying * self.approval


CORE = ("tax_office", "power_utility", "social_insurance")
GUARANTORS = tuple(f"guarantor_{i:02d}" for i in range(1, 9))
MARKET = ("bureau_supply", "bureau_utilities", "bureau_conduct", "fintech_online", "fintech_payments")

DEMO = Profile(
    name="demo",
    enterprises=110_000,
    banks=(CITY, RURAL, QUICK),
    holders=CORE,
    default_rate=0.06,
    individual=0.5,
    vendors=0.1,
    invisible=0.0,
    applying=1.0,
    approval=0.88,
    smallest=1_000,
)

PROFILES: dict[str, Profile] = {
    p.name: p
    for p in (
        DEMO,
        replace(DEMO, name="interactions", interactions=True),
        Profile(
            name="consortium",
            enterprises=1_250_000,
            banks=(CITY, RURAL, QUICK, CLUSTER, *_others()),
            holders=(*CORE, "court", "registry"),
            default_rate=0.029,
            individual=0.5,
            vendors=0.1,
            invisible=0.0,
            applying=1.0,
            approval=0.8,
            smallest=20_000,
        ),
        Profile(
            name="province",
            enterprises=5_291_000,
            banks=(CITY, RURAL, QUICK, CLUSTER, *_others()),
            holders=(*CORE, "court", "registry", "environment_agency", *MARKET, *GUARANTORS),
            default_rate=0.029,
            individual=3.864 / 5.291,
            vendors=0.25,
            invisible=0.193,
            applying=0.85,
            approval=0.584,
            smallest=40_000,
        ),
    )
}
