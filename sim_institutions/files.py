"""Writes a simulated province: tables, institution files and a study, ready to run.

The same profile, size and seed give the same bytes with the same versions of numpy and pyarrow.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sim_institutions.geometry import write_counties
from sim_institutions.institutions import Office, label, offices, prefecture_offices
from sim_institutions.profiles import CORE, PROFILES, Profile
from sim_institutions.statistics_files import write_rules, write_statistics
from sim_institutions.tables import ENDS, ID, SECTOR, write_tables
from sim_institutions.toml_text import pairs

WORKERS = 2
POLICY = {
    "purposes": ["credit_scoring"],
    "recipes": ["scorecard", "network", "encoder", "statistics"],
    # A refit every month and one more; real holders allow fewer.
    "scored_versions": 13,
}


GROUPS = ("sector", "size_class", "prefecture", "county")


def _silent(_: str) -> None:
    """Say nothing."""


def write(
    enterprises: int,
    seed: int,
    out: Path,
    profile: str = "demo",
    *,
    workers: int = WORKERS,
    research: bool = False,
    say: Callable[[str], None] = _silent,
) -> dict[str, int]:
    """Write everything into ``out``; returns the number of rows of each institution.

    research: whether the institutions' policies allow research runs, which have no privacy.
    """
    rows = write_tables(profile, enterprises, seed, out, workers, say)
    write_institutions(PROFILES[profile], out, research=research)
    write_studies(PROFILES[profile], enterprises, rows, out)
    write_rules(enterprises, out)
    write_counties(out / "counties.geojson")
    return rows


def write_institutions(
    profile: Profile,
    out: Path,
    *,
    tables: str = "..",
    research: bool = False,
    histories: bool = True,
    policy: Mapping[str, Any] = MappingProxyType({}),
    serving: Mapping[str, Any] = MappingProxyType({}),
    changed: Callable[[Office], Office] = lambda office: office,
) -> None:
    """Write the institutions' files below ``out``.

    tables: the folder with tables and histories, as these files see it. policy, serving: more rules of every
    institution. changed: what else an institution of these files has.
    """
    folder = out / "institutions"
    folder.mkdir(parents=True, exist_ok=True)
    # In a separate folder, because Flower's engine starts a node for every file in ``institutions``.
    aside = out / "tax_offices"
    aside.mkdir(exist_ok=True)
    more: dict[str, Any] = {"research": research, "policy": policy, "serving": serving, "tables": tables}
    for member in offices(profile):
        office = changed(member if histories else replace(member, series=()))
        source = f"{tables}/data/{office.name}.parquet"
        _write(folder / f"{office.name}.toml", institution(office, {"source": source}, **more))
        if office.name == "tax_office":
            for part, prefecture in prefecture_offices().items():
                rows = {"source": source, "only": {"prefecture": prefecture}}
                _write(aside / f"{part}.toml", institution(office, rows, part, **more))


def write_studies(
    profile: Profile, enterprises: int, rows: Mapping[str, int], out: Path, name: str | None = None
) -> None:
    """Write the studies of one table, or of one quarter; ``name``: of the scorecard, by default the profile's."""
    largest = max(rows.values())
    # One of a series: those before it are remembered.
    more = [] if name is None else ["[scorecard]\n" + pairs({"memory": "auto"})]
    _write(out / "study.toml", study(profile, enterprises, largest, name, more=more))
    write_statistics(profile, out, small_delta(largest), name or "")


def institution(
    office: Office,
    source: Mapping[str, Any],
    name: str | None = None,
    *,
    research: bool = False,
    policy: Mapping[str, Any] = MappingProxyType({}),
    serving: Mapping[str, Any] = MappingProxyType({}),
    tables: str = "..",
) -> str:
    """The institution file: table, policy and dictionary.

    The policy is one for real data, though these are simulated: people start from such files. No research runs unless
    they are asked for, and bands, in case a holder is the only one behind a sum.
    """
    only = source.get("only")
    parts = [
        f"# Simulated: {office.title}.",
        pairs({"name": name or office.name, "kind": office.kind}),
        "[table]\n" + pairs({k: v for k, v in source.items() if k != "only"}),
        *(["[table.only]\n" + pairs(only)] if only else []),
        "[policy]\n"
        + pairs(
            {
                "research": research,
                **POLICY,
                "scores": "bands",
                **policy,
                **_opened(office),
                **_groups(office),
            }
        ),
        *(["[policy.serving]\n" + pairs(serving)] if serving else []),
        "[dictionary]\n" + pairs({"id": ID, "id_scheme": "uscc"}),
        *("[[dictionary.columns]]\n" + pairs(column) for column in [*office.columns, *office.computed]),
    ]
    if office.kind == "bank":
        parts.append("[dictionary.label]\n" + pairs(label()))
        parts += ["[[dictionary.labels]]\n" + pairs(one) for one in office.labels]
    return "\n".join([*parts, *_histories(office, f"{tables}/histories/{office.name}.parquet")])


def _histories(office: Office, source: str) -> list[str]:
    """Monthly histories: of columns and encoders, or of encoders alone."""
    if not office.series:
        return []
    encoder = "[[encoders]]\n" + pairs({"name": "months"})
    if office.history_months is None:
        series = ["[[encoders.series]]\n" + pairs(dict(one)) for one in office.series]
        return [encoder, f'histories = {{ source = "{source}" }}\n', *series]
    stated = {"source": source, "months": office.history_months, "ends_column": ENDS}
    stated |= {"season_column": SECTOR} if any("season" in one for one in office.series) else {}
    series = ["[[histories.series]]\n" + pairs({**one, "better": "high"}) for one in office.series]
    return ["[histories]\n" + pairs(stated), *series, encoder]


def _opened(office: Office) -> dict[str, Any]:
    """All columns are open to statistics, which is closed unless a policy names columns."""
    return {"statistics": [column["name"] for column in office.columns]}


def _groups(office: Office) -> dict[str, Any]:
    """Columns by which a bank lets an evaluation be counted: what the register says of an enterprise."""
    there = {column["name"] for column in office.columns}
    listed = [name for name in GROUPS if name in there]
    return {"groups": listed} if office.kind == "bank" and listed else {}


def study(
    profile: Profile,
    enterprises: int,
    largest: int,
    name: str | None = None,
    *,
    label: str | None = None,
    rate: float | None = None,
    more: Sequence[str] = (),
) -> str:
    """The study file: a scorecard of all institutions of the profile.

    ``largest`` is the number of rows of the largest table. name: of the study; by default the profile's. label, rate:
    another label than the usual one, and its rate. more: sections at the end.
    """
    members = [{"name": o.name, "role": o.kind} for o in offices(profile)]
    expected = {
        "default_rate": rate or profile.default_rate,
        "enterprises": round(enterprises * profile.borrowers),
    }
    parts = [
        "# A simulated study: labels of the banks, features of all. [expected] are planning figures.",
        pairs({"name": name or profile.name, "purpose": "credit_scoring", "recipe": "scorecard"})
        + (pairs({"label": label}) if label else ""),
        *("[[institutions]]\n" + pairs(member) for member in members),
        "[alignment]\n" + pairs({"authority": CORE[0], "epoch": "2026"}),
        "[privacy]\n" + pairs({"epsilon": profile.epsilon, "delta": small_delta(largest)}),
        "[holdout]\n" + pairs({"percent": 30}),
        "[expected]\n" + pairs(expected),
        *more,
    ]
    return "\n".join(parts)


def small_delta(rows: int) -> float:
    """The delta of a study: at most 0.1 over ``rows`` and at most 1e-6, with one significant digit.

    ``rows`` are those of the largest table.

    >>> small_delta(1_200_000), small_delta(5_000)
    (8e-08, 1e-06)
    """
    most = 0.1 / max(rows, 1)
    power = math.floor(math.log10(most))
    digit = math.floor(most / 10.0**power)
    return min(float(f"{digit}e{power}"), 1e-6)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
