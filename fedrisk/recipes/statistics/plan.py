"""What a statistics study releases, with how much noise, at which price: the same at hub and institutions.

One release of all tables by all measures. Each pair of table and measure has its part of mu squared by the weights that
the study states; a record that is made zero moves each pair's numbers by 1 at most (L2), a record of a joined study
that is made zero, or moves its enterprise from one cell to another, by sqrt 2. Measures of k offices are
one number of a cell, and nothing keeps an enterprise from being known at each of them: what all have of it moves when
the cells' owner's record does, by k sqrt 2, and the noise of the cells' owner is made for that.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.findings import Finding
from fedrisk.privacy.accounting import contributor_sigma, sigma_for
from fedrisk.protocol.form import MOST_ROWS
from fedrisk.recipes.statistics.expectation import findings
from fedrisk.recipes.statistics.layout import level_of, measure_of
from fedrisk.recipes.statistics.members import (
    cells_owner,
    check_owners,
    contributors,
    is_joined,
    measure_owner,
    population,
)
from fedrisk.recipes.statistics.settings import StatisticsSettings, column_of, counted_by, owner_of, shares
from fedrisk.releases.axes import axis_of
from fedrisk.releases.budget import noise_reach, total_mu
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Block, Planned, Release, Ring
from fedrisk.releases.statistics import RELEASE, CellTable, Layout, block_name
from fedrisk.study import Study
from fedrisk.study_members import BANK

BITS = 24
"""Fractional bits of all numbers: a million rounded values in one cell are 3e-5 of the least value off in all."""

JOINED_BITS = 16
"""Fractional bits of a joined study at most; fewer where many rows would leave the ring of 32 bits (see group_sums)."""

LEAST_BITS = 6
"""Fractional bits at least: a value of a joined study is rounded by 1/128 of its bound at most."""

MOST_PLANNED = 1 << 20
"""Rows that are reckoned with before their number is known."""

MOST_CELLS = 200_000
"""Most cells of all tables of a study."""

MOST_NUMBERS = 2_000_000
"""Most numbers of a release: cells by measures by their columns."""

WHOLE = "(all)"
"""Name of the table without axes."""


def layout_of(study: Study, features: Sequence[Feature]) -> Layout:
    """Everything public about the study's numbers.

    features: of the columns that the study names, as institutions state them; of an owner with several institutions,
    those of one suffice. ConfigError where a column is not there, institutions of one owner differ, a column is no cell
    or no measure, or there are more cells than a study may have.
    """
    settings = StatisticsSettings.of(study)
    columns = _columns(study, features)
    axes = {name: axis_of(name, column, columns[column]) for name, column in settings.axes.items()}
    axes |= {name: level_of(name, rule, axes[rule.axis]) for name, rule in sorted(settings.levels.items())}
    tables = settings.all_tables
    parts = shares(rule.weight for rule in settings.measures)
    layout = Layout(
        owner=cells_owner(study),
        axes=tuple(axes.values()),
        tables=tuple(
            CellTable(name=", ".join(rule.by) or WHOLE, axes=rule.by, share=share)
            for rule, share in zip(tables, shares(rule.weight for rule in tables), strict=True)
        ),
        measures=tuple(
            measure_of(rule, columns, share) for rule, share in zip(settings.measures, parts, strict=True)
        ),
        included=study.inclusion_probability if is_joined(study) and len(study.banks) > 1 else 1.0,
        joined=is_joined(study),
    )
    _check_names(layout)
    _check_size(layout)
    return layout


def make_plan(study: Study, features: Sequence[Feature], rows: int | None = None) -> Plan:
    """The one release of a study. Whoever contributes is charged the whole budget, whoever does not nothing.

    Without features of the owners' columns the price is known and the form is not.
    """
    mu, paying = total_mu(study), contributors(study)
    price = {name: mu if name in paying else 0.0 for name in study.members}
    named = StatisticsSettings.of(study).owners
    if named and not _stated(study, features):
        planned = Planned(name=RELEASE, population="all", mu=mu)
    else:
        planned = Planned.of(release_of(study, layout_of(study, features), rows))
    return Plan(planned=(planned,), price=price, features=tuple(features))


def release_of(study: Study, layout: Layout, rows: int | None = None) -> Release:
    """The release of a layout: a block for each table and measure, with each contributor's noise.

    rows: on all lists of a joined study, where they are known. ConfigError where the noise is beyond what a ring holds,
    or too fine.
    """
    bits = BITS
    if layout.joined:
        bits, rows = JOINED_BITS, (MOST_PLANNED if rows is None else rows) * most_parts(study, layout)
        while bits > LEAST_BITS and _reach(_blocks(study, layout, bits), rows << bits) >= 1 << 31:
            bits -= 1
    blocks = _blocks(study, layout, bits)
    ring: Ring = "uint32" if layout.joined else "uint64"
    most = rows << bits if layout.joined and rows is not None else MOST_ROWS << BITS
    if _reach(blocks, most) >= 1 << (31 if layout.joined else 62):
        raise ConfigError(
            f"privacy.epsilon = {study.privacy.epsilon:g} leaves so little for each table and measure that its noise "
            "is beyond all numbers; ask for fewer, or raise epsilon"
        )
    return Release(
        name=RELEASE, population="all", mu=total_mu(study), ring=ring, scale_bits=bits, blocks=blocks
    )


def _blocks(study: Study, layout: Layout, bits: int) -> tuple[Block, ...]:
    mu = total_mu(study)
    blocks = []
    for table in layout.tables:
        for measure in layout.measures:
            part = mu * math.sqrt(table.share * measure.share)
            right, most = measure_owner(layout.owner, measure), sensitivity(layout.joined, bits)
            own, cells = (
                0.0 if math.isinf(mu) else sigma_for(most * times, part)
                for times in (1, parts_of_an_enterprise(study, layout, right))
            )
            blocks.append(
                Block(
                    name=block_name(table, measure),
                    left=layout.owner,
                    right=right,
                    shape=(layout.cells(table), measure.columns),
                    sigma=_of_owners(study, {right: own, layout.owner: cells}),
                )
            )
    return tuple(blocks)


def parts_of_an_enterprise(study: Study, layout: Layout, right: str) -> int:
    """How many institutions at most add to one number of a block for the same enterprise: the offices of its measures.

    An enterprise is on one bank's list alone, as each member checks (clients/row_order), so banks count as one. Offices
    may each know it, and neither they nor the cells' owner can see whether another one does.
    """
    return 1 if right in (layout.owner, BANK) else len(counted_by(study, right))


def most_parts(study: Study, layout: Layout) -> int:
    """The largest of :func:`parts_of_an_enterprise` over all measures: so many values of a row a number may have."""
    owners = {measure_owner(layout.owner, measure) for measure in layout.measures}
    return max((parts_of_an_enterprise(study, layout, owner) for owner in owners), default=1)


def _of_owners(study: Study, sigma: Mapping[str, float]) -> dict[str, float]:
    """Noise of each institution behind a block's owners; each owner's institutions together have all of its sigma."""
    noise: dict[str, float] = {}
    for owner, whole in sigma.items():
        noise |= _sigmas(study, whole, counted_by(study, owner))
    return {name: noise[name] for name in study.members if name in noise}


def _reach(blocks: Sequence[Block], most: int) -> int:
    """How far the largest number may reach, noise included."""
    return max(noise_reach(block.sigma) for block in blocks) + most


def sensitivity(joined: bool, bits: int = BITS) -> float:
    """Most by which a record moves the numbers of one table and measure, in ring units (L2).

    Of a record of the cells' owner times :func:`parts_of_an_enterprise`. One unit more than the exact 2^bits: three
    columns at most are rounded to the nearest, each by half a unit at most.
    """
    return (math.sqrt(2) if joined else 1.0) * (float(1 << bits) + 1)


def check_members(study: Study, features: Sequence[Feature] | None = None) -> None:
    """ConfigError where owners are not in the study, or, once columns are known, not all state the same."""
    check_owners(study)
    if features is None:
        return
    stated = {(f.institution, f.column) for f in features}
    for column in StatisticsSettings.of(study).columns:
        for name in dict.fromkeys(_roles(study, owner_of(column))):
            if (name, column_of(column)) not in stated:
                raise ConfigError(
                    f"{name} states no column {column_of(column)}; it is to bring what the study names"
                )
    layout_of(study, features)


def expect(study: Study, plan: Plan, rows: Mapping[str, int]) -> tuple[Finding, ...]:
    """How far off figures will be, by the public number of rows that are counted."""
    planned = plan.find(RELEASE)
    if planned is None or planned.release is None:
        return ()
    counted = sum(rows.get(name, 0) for name in counted_rows(study))
    return findings(layout_of(study, plan.features), planned.release, counted) if counted else ()


def counted_rows(study: Study) -> tuple[str, ...]:
    """Institutions whose rows are the population: the cells' owner's, or, where rows are aligned, the listed ones."""
    return population(study) if is_joined(study) else counted_by(study, cells_owner(study))


def _roles(study: Study, owner: str) -> tuple[str, ...]:
    """Under which names of institutions an owner's columns are stated: all banks state theirs as the role's."""
    return (BANK,) if owner == BANK else counted_by(study, owner)


def _stated(study: Study, features: Sequence[Feature]) -> bool:
    """Whether some institution of every owner states the columns that the study names."""
    there = {f.institution for f in features}
    return all(there & set(_roles(study, owner)) for owner in StatisticsSettings.of(study).owners)


def _columns(study: Study, features: Sequence[Feature]) -> dict[str, Feature]:
    """The columns that the study names, by their names there; ConfigError where institutions of one owner differ."""
    found = {(f.institution, f.column): f for f in features}
    there = {f.institution for f in features}
    columns = {}
    for named in StatisticsSettings.of(study).columns:
        owner, column = owner_of(named), column_of(named)
        stating = [name for name in _roles(study, owner) if name in there]
        stated = {name: found.get((name, column)) for name in stating}
        first = next(iter(stated.values()), None)
        if first is None:
            raise ConfigError(
                f"{named} is stated by no institution; correct the name of the column or of its owner"
            )
        for name, feature in stated.items():
            if feature is None or _meaning(feature) != _meaning(first):
                raise ConfigError(
                    f"offices.{owner}: the dictionaries of {stating[0]} and {name} disagree on {column}; offices of "
                    "one kind need the same column with the same kind, unit, bounds, bins and codes"
                )
        columns[named] = first
    return columns


def _meaning(feature: Feature) -> tuple[object, ...]:
    """What has to be the same wherever a column is counted."""
    return (feature.kind, feature.low, feature.high, feature.bins, feature.special, feature.unit)


def _check_names(layout: Layout) -> None:
    """ConfigError where two blocks would have one name, and one mask: columns may have any letter in their names."""
    names = [block_name(table, measure) for table in layout.tables for measure in layout.measures]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ConfigError(
            f"two numbers of each cell would be called {twice[0]}; give the measure a name of its own (name = ...)"
        )


def _check_size(layout: Layout) -> None:
    cells = sum(layout.cells(table) for table in layout.tables)
    if cells > MOST_CELLS:
        raise ConfigError(
            f"tables have {cells:,} cells together, and a study may have {MOST_CELLS:,}: count by fewer columns, or by "
            "coarser levels"
        )
    numbers = cells * sum(measure.columns for measure in layout.measures)
    if numbers > MOST_NUMBERS:
        raise ConfigError(
            f"tables and measures make {numbers:,} numbers, and a study may have {MOST_NUMBERS:,}: ask for fewer "
            "measures, or count by fewer columns"
        )


def _sigmas(study: Study, sigma: float, names: Sequence[str]) -> dict[str, float]:
    """Noise of each contributor: alike institutions share it, so that it suffices also without those who collude."""
    own = contributor_sigma(sigma, len(names), study.privacy.colluders) if sigma else 0.0
    return dict.fromkeys(names, own)
