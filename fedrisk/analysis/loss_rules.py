"""Rules by which a loss is shared, from a TOML file: parties, layers by segment, caps, a pool, a stop.

Guarantee schemes for small enterprises are named by their shares in tenths, such as 4321 or 5221. The digits do not say
whose they are, and schemes of the same name differ; so a file states every party by name, and nothing here assumes an
order of parties. The same holds for the order in which stop, caps and pool are applied: the file states it.
"""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedrisk.file_rules import checked
from fedrisk.study_sections import Settings
from fedrisk.toml_file import load_toml

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Line = Annotated[str, Field(min_length=1, max_length=80)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Yuan = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
"""At most two decimals; a multiple of a fen (:meth:`LossRules.fen`)."""
Step = Literal["stop", "caps", "pool"]


class Party(Settings):
    """One who bears a part of the loss.

    title: what people read in place of the name. cap: most that it bears in yuan, over all segments together. cap_rate:
    the same as a share of the exposure of all segments. What is above goes to ``rest``.
    """

    name: Name
    title: Line | None = None
    cap: Yuan | None = None
    cap_rate: Share | None = None

    @model_validator(mode="after")
    def _one_cap(self) -> Self:
        if self.cap is not None and self.cap_rate is not None:
            raise ValueError(f"party {self.name} has cap and cap_rate; keep one of them")
        return self


class Layer(Settings):
    """One layer of a segment's loss: who bears it, and where it ends.

    up_to: its end as a share of the segment's exposure, from the first fen of the loss; up_to_yuan: the same in yuan.
    The last layer has no end. A deductible is a first layer of one party. shares: by party; they add up to exactly 1.
    """

    shares: Annotated[Mapping[Name, Share], Field(min_length=1)]
    up_to: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    up_to_yuan: Yuan | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = sum(exact(s) for s in self.shares.values())
        if total != 1:
            raise ValueError(f"shares add up to {float(total):g}; they must add up to exactly 1")
        if self.up_to is not None and self.up_to_yuan is not None:
            raise ValueError("a layer has up_to and up_to_yuan; keep one of them")
        return self

    @property
    def ends(self) -> bool:
        """Whether the layer has an end."""
        return self.up_to is not None or self.up_to_yuan is not None


class Segment(Settings):
    """Enterprises whose losses are added up and shared together.

    where: by axis, the categories that belong to it; none takes what no segment before it took. by: axes, each
    category of which is a segment of its own with these rules. loss_given_default: in place of the model's.
    """

    name: Name
    title: Line | None = None
    where: Mapping[Name, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    by: tuple[Name, ...] = ()
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=12)]
    loss_given_default: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _last_is_open(self) -> Self:
        for number, layer in enumerate(self.layers, start=1):
            last = number == len(self.layers)
            if last and layer.ends:
                raise ValueError(
                    f"segment {self.name}: its last layer ends at some loss, and nobody bears what is above; "
                    "remove its up_to, or add a layer without one"
                )
            if not last and not layer.ends:
                raise ValueError(
                    f"segment {self.name}: layer {number} has no end, so those after it are never reached; give it "
                    "up_to"
                )
        for key in ("up_to", "up_to_yuan"):
            ends = [e for layer in self.layers if (e := getattr(layer, key)) is not None]
            if ends != sorted(set(ends)):
                raise ValueError(f"segment {self.name}: {key} must grow from layer to layer")
        return self


class Stop(Settings):
    """What happens above a compensation rate: compensation is what all but ``rest`` pay, by exposure.

    ends: "compensation", above it nothing more is compensated and ``rest`` bears the loss; "business", no new loans
    are taken in, which moves nothing of the present ones: only the chance of it is stated. per: "all" segments
    together, or each "segment".
    """

    rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
    ends: Literal["compensation", "business"] = "compensation"
    per: Literal["all", "segment"] = "all"


class Pool(Settings):
    """A compensation fund: what it holds, whose parts it pays, and who bears what it cannot.

    beyond: a party; without one the parties owe their parts whatever the fund holds, and only its adequacy is stated.
    """

    size: Yuan
    pays: Annotated[tuple[Name, ...], Field(min_length=1)]
    beyond: Name | None = None


class Figures(Settings):
    """Which measures of the statistics studies the figures are, by their names.

    exposure, expected_loss: sums; the expected loss of a loan is formed at its bank, probability times loss given
    default times exposure. enterprises: a count of borrowers, for the variation of losses of few loans. matured_loss:
    a sum of losses that came; predicted: the sum that foretold them, by default expected_loss. matured_later: how many
    records later the losses that a record foretells stand: 0, in the same record. matured_part: the part of the
    foretold period that these records cover, 0.25 for a quarter of a foretold year. yuan_per_unit: of all sums.
    """

    exposure: Name = "exposure"
    expected_loss: Name = "expected_loss"
    enterprises: Name | None = None
    matured_loss: Name | None = None
    predicted: Name | None = None
    matured_later: Annotated[int, Field(ge=0, le=40)] = 0
    matured_part: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    yuan_per_unit: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 1.0


class Model(Settings):
    """How future losses vary about what is expected: one factor for all (Vasicek 2002).

    asset_correlation: between two borrowers' assets. loss_given_default: gives the probability of default from expected
    loss and exposure. size_variation: standard deviation of the exposures of a segment by their mean; few large loans
    make losses vary more.
    """

    asset_correlation: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.12
    loss_given_default: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.45
    size_variation: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 1.0


class LossRules(Settings):
    """A whole file of rules.

    rest: the party that bears what another's cap or the stop leaves. order: in which stop, caps and pool are applied,
    after the layers; every one of them once.
    """

    name: Name
    title: Line | None = None
    rest: Name
    order: tuple[Step, ...] = ("stop", "caps", "pool")
    parties: Annotated[tuple[Party, ...], Field(min_length=1, max_length=24)]
    segments: Annotated[tuple[Segment, ...], Field(min_length=1, max_length=200)]
    stop: Stop | None = None
    pool: Pool | None = None
    figures: Figures = Figures()
    model: Model = Model()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [p.name for p in self.parties]
        _once(names, "party", "[[parties]]")
        _once([s.name for s in self.segments], "segment", "[[segments]]")
        self._check_named(set(names))
        if sorted(self.order) != ["caps", "pool", "stop"]:
            raise ValueError('order has to name each of "stop", "caps" and "pool" once')
        self._check_rest()
        self._check_reached()
        for amount in self._amounts():
            _ = self.fen(amount)
        return self

    def _check_named(self, known: set[str]) -> None:
        """Parties that are named somewhere have to be among the parties."""
        used = {"rest": {self.rest}}
        for segment in self.segments:
            used[f"segment {segment.name}"] = {p for layer in segment.layers for p in layer.shares}
        if self.pool is not None:
            used["pool"] = {*self.pool.pays, *([self.pool.beyond] if self.pool.beyond else [])}
        for where, parties in used.items():
            for party in sorted(parties - known):
                raise ValueError(
                    f"{where} names {party}, who is no party; parties are {', '.join(sorted(known))}"
                )

    def _check_rest(self) -> None:
        rest = self.party(self.rest)
        if rest.cap is not None or rest.cap_rate is not None:
            raise ValueError(
                f"party {self.rest} is rest, who bears what others do not, and so can have no cap"
            )
        if self.pool is not None and self.pool.beyond in self.pool.pays:
            raise ValueError(
                "pool: beyond is a party whose part the pool pays; name another, or leave beyond out"
            )

    def _check_reached(self) -> None:
        for segment in self.segments[:-1]:
            if not segment.where:
                raise ValueError(
                    f"segment {segment.name} takes everything (it has no where), so those after it are never reached; "
                    "put it last"
                )

    def _amounts(self) -> list[float]:
        amounts = [p.cap for p in self.parties] + [self.pool.size if self.pool else None]
        amounts += [layer.up_to_yuan for s in self.segments for layer in s.layers]
        return [a for a in amounts if a is not None]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parties, in the file's order."""
        return tuple(p.name for p in self.parties)

    def party(self, name: str) -> Party:
        """The party of that name; KeyError where there is none."""
        return {p.name: p for p in self.parties}[name]

    def title_of(self, name: str) -> str:
        """What people read for a party."""
        return self.party(name).title or name

    @staticmethod
    def fen(yuan: float) -> int:
        """An amount in fen, exactly as it is written; ValueError where it has parts of a fen.

        >>> LossRules.fen(0.29)
        29
        """
        fen = exact(yuan) * 100
        if fen.denominator != 1:
            raise ValueError(f"{yuan} yuan has parts of a fen; give amounts with at most two decimals")
        return int(fen)


def exact(value: float) -> Fraction:
    """A number as it is written in the file: 0.1 is one tenth.

    >>> exact(0.1) + exact(0.2) == exact(0.3)
    True
    """
    return Fraction(Decimal(repr(float(value))))


def load_loss_rules(path: Path) -> LossRules:
    """Read a file of rules; ConfigError names the file and each rule that is broken."""
    return checked(LossRules, load_toml(path, what="loss rules"), where=f"loss rules {path}")


def _once(names: list[str], what: str, where: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{what} {name} stands {count} times in {where}; a name is given once")
