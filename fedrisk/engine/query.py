"""A question in one line as a study on this machine: found, written, checked and priced, before anybody is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedrisk.clients.assessment import Assessment, assess
from fedrisk.clients.node import Node
from fedrisk.data.draft.write import toml
from fedrisk.engine.check import check_study
from fedrisk.engine.checked import Check
from fedrisk.errors import ConfigError, FedriskError
from fedrisk.file_rules import checked
from fedrisk.institution import Institution, load_institution
from fedrisk.recipes import load_study, recipe_of, study_from
from fedrisk.recipes.statistics.asked import Asked, study_of
from fedrisk.recipes.statistics.expectation import Expected, expected
from fedrisk.recipes.statistics.owners import Extras, Known
from fedrisk.recipes.statistics.plan import counted_rows, layout_of
from fedrisk.recipes.statistics.question import parse_question
from fedrisk.releases.statistics import RELEASE
from fedrisk.study import Study
from fedrisk.toml_file import load_toml

PURPOSE = "statistics"
"""Purpose of a question where none is said and the members' policies do not agree on another."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """A question's study. text: as its file has it. paths: institution files of its members, by name."""

    asked: Asked
    study: Study
    text: str
    paths: Mapping[str, Path]


@dataclass(frozen=True, kw_only=True)
class Priced:
    """What a query costs and gives, before it is run.

    prices: by institution. expected: for each measure; none where the study would be refused.
    """

    found: Check
    prices: Mapping[str, Assessment]
    expected: tuple[Expected, ...]
    rows: int


def make_query(
    question: str,
    institutions: Path,
    *,
    epsilon: float,
    source: str | None = None,
    delta: float | None = None,
    purpose: str | None = None,
    listed: str | None = None,
    extras: Path | None = None,
    like: Path | None = None,
) -> Query:
    """The study of a question.

    institutions: folder with NAME.toml for each institution that may take part. source: owner of columns that name
    none, where the question has no FROM. extras: file with [offices] and [levels]. like: a study file, whose purpose,
    delta and [alignment] (who keeps the key of the pseudonyms) are taken where none are given.

    Errors: ConfigError where the question cannot be asked, or nobody has such columns.
    """
    asked = parse_question(question)
    if source is not None:
        if asked.owner is not None and asked.owner != source:
            raise ConfigError(
                f"the question says FROM {asked.owner} and --from says {source}; leave one of them out"
            )
        asked = asked.from_owner(source)
    files, members = _institutions(institutions)
    known = {name: Known(role=one.kind, dictionary=one.described()) for name, one in members.items()}
    more = (
        Extras()
        if extras is None
        else checked(Extras, load_toml(extras, what="file of levels"), where=str(extras))
    )
    made = study_of(
        asked, known, epsilon=epsilon, purpose=purpose or PURPOSE, extras=more, delta=delta, listed=listed
    )
    if like is not None:
        _take(made.content, load_study(like), members, purpose=purpose, delta=delta)
    elif purpose is None:
        made.content["purpose"] = _purpose([members[m["name"]] for m in made.content["institutions"]])
    study = study_from(made.content, where="the study of this question")
    paths = {name: files[name] for name in study.members}
    return Query(asked=made, study=study, text=study_text(made.content, question), paths=paths)


def price(query: Query, *, research_seed: int | None = None) -> Priced:
    """Whether the members would take part, what each pays, and what to expect. Reads their tables; spends nothing."""
    study = query.study
    found = check_study(study, query.paths, research_seed=research_seed)
    nodes = {name: Node.load(path) for name, path in query.paths.items()}
    prices = {
        name: assess(node, study, recipe_of(study), research=research_seed is not None)
        for name, node in nodes.items()
        if study.has_table(name)
    }
    counted = set(counted_rows(study))
    rows = sum(line.rows for line in found.institutions if line.name in counted)
    figures: tuple[Expected, ...] = ()
    planned = None if found.plan is None else found.plan.find(RELEASE)
    if found.plan is not None and planned is not None and planned.release is not None and rows:
        figures = expected(layout_of(study, found.plan.features), planned.release, rows)
    return Priced(found=found, prices=prices, expected=figures, rows=rows)


def study_text(content: Mapping[str, Any], question: str) -> str:
    """A study file of a question.

    >>> text = study_text({"name": "q", "statistics": {"measures": [{"kind": "count"}]}}, "count(*)")
    >>> print(text)  # doctest: +NORMALIZE_WHITESPACE
    # count(*)
    name = "q"
    <BLANKLINE>
    [statistics]
    measures = [
        { kind = "count" },
    ]
    <BLANKLINE>
    """
    lines = [f"# {line}" for line in question.splitlines() if line.strip()]
    lines += [_line(key, value) for key, value in content.items() if not isinstance(value, Mapping)]
    for key, section in content.items():
        if isinstance(section, Mapping):
            lines += ["", f"[{key}]", *(_line(k, v) for k, v in section.items() if not _nested(v))]
            for name, value in section.items():
                if _nested(value):
                    lines += ["", f"[{key}.{name}]", *(_line(k, v) for k, v in value.items())]
    return "\n".join(lines) + "\n"


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping)


def _line(key: str, value: Any) -> str:
    """A key and its value; lists of tables take a line for each."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return "\n".join([f"{key} = [", *(f"    {toml(one)}," for one in value), "]"])
    return f"{key} = {toml(value)}"


def _institutions(folder: Path) -> tuple[dict[str, Path], dict[str, Institution]]:
    """Institution files of a folder that can be read, by name; ConfigError where there is none."""
    files, found = dict[str, Path](), dict[str, Institution]()
    broken = list[str]()
    for path in sorted(folder.glob("*.toml")):
        try:
            one = load_institution(path)
        except FedriskError as error:
            broken.append(str(error))
            continue
        files[one.name], found[one.name] = path, one
    if not found:
        raise ConfigError(
            "\n".join(
                [
                    f"{folder} holds no institution file that can be read; name the folder with --institutions",
                    *broken,
                ]
            )
        )
    return files, found


def _take(
    content: dict[str, Any],
    like: Study,
    members: Mapping[str, Institution],
    *,
    purpose: str | None,
    delta: float | None,
) -> None:
    """Purpose, delta and alignment of another study; the keeper of its key becomes a member where rows are aligned."""
    content["purpose"] = purpose or like.purpose
    content["privacy"] = {
        **content["privacy"],
        "delta": delta or like.privacy.delta,
        "colluders": like.privacy.colluders,
    }
    if "listed" not in content["statistics"]:
        return
    there = [m["name"] for m in content["institutions"]]
    if like.authority not in there:
        if like.authority not in members:
            raise ConfigError(
                f"{like.authority} keeps the key of study {like.name}, and there is no institution file of it; add it"
            )
        content["institutions"].append({"name": like.authority, "role": members[like.authority].kind})
    content["alignment"] = {"authority": like.authority, "epoch": like.alignment.epoch}
    if like.alignment.inclusion_probability is not None:
        content["alignment"]["inclusion_probability"] = like.alignment.inclusion_probability


def _purpose(members: list[Institution]) -> str:
    """``statistics`` where all policies allow it; else the first purpose that all of them allow."""
    allowed = [one.policy.purposes for one in members if one.has_table]
    common = [p for p in allowed[0] if all(p in others for others in allowed)] if allowed else []
    return PURPOSE if PURPOSE in common or not common else common[0]
