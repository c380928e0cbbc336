"""``fedrisk keys``: every key of every file, with type, default, meaning and example.

Types, ranges and defaults are read from the models that check the files; meanings and examples are in keys.toml.
docs/keys.md is what ``fedrisk keys --markdown`` prints.
"""

import json
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.padding import Padding
from rich.text import Text

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import out, tell_json

_LIMITS = {
    "ge": "from {}",
    "gt": "above {}",
    "le": "to {}",
    "lt": "below {}",
    "max_length": "at most {} entries",
}
_PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    date: "day, as 2026-01-31",
}
_NOT_WRITTEN = (("institution", "folder"), ("institution", "file"), ("dictionary.columns", "history"))
"""Where a file lies, which is put to what it says when it is read; a rule, whose keys are a section of their own."""

_STUDY = "study file"
_INSTITUTION = "institution file"
_DECISIONS = "table of decisions (decisions.toml)"
_MEASURE = "measure (for example exposure_elsewhere.toml)"
_LOSSES = "loss rules (for example rules_4321.toml)"
_REWARD = "reward rules (for example rewards.toml)"
_FRAGILITY = "fragility index (for example fragility.toml)"
_DATA_SET = "data set (for example configs/data_sets/taiwan.toml)"
_SWEEP = "sweep (for example benchmarks/sweep.toml)"
_TOP = (
    "study",
    "institution",
    "decisions",
    "measure",
    "loss_rules",
    "reward_rules",
    "fragility",
    "data_set",
    "sweep",
    "hub",
    "node",
)
"""Sections whose keys stand at the top of their file."""


@dataclass(frozen=True)
class Key:
    """One key: its file, section, name, type and default in words, meaning, and an example in TOML."""

    file: str
    section: str
    name: str
    type: str
    default: str
    means: str
    example: str

    @property
    def path(self) -> str:
        """The key as people write it: the section's name before its own, unless it stands at the top of its file."""
        return self.name if self.section in _TOP else f"{self.section}.{self.name}"


def models() -> dict[str, tuple[str, type[BaseModel]]]:
    """By section: its file, and the model that checks it."""
    from fedrisk.analysis import fragility_settings, loss_rules, reward
    from fedrisk.data.column import Column
    from fedrisk.data.dictionary import Dictionary
    from fedrisk.data.history_kinds import HistoryKeys
    from fedrisk.data.label import Label
    from fedrisk.data.source import Part, TableSource
    from fedrisk.deploy.hub_home import HubSettings
    from fedrisk.deploy.node_home import NodeSettings
    from fedrisk.institution import Institution
    from fedrisk.lab import data_set_rules, sweep
    from fedrisk.models.histories import EncoderRule
    from fedrisk.models.history_file import HistoriesSource
    from fedrisk.models.series import Series
    from fedrisk.privacy.policy import Policy
    from fedrisk.privacy.serving_policy import MeasureRule, Register, ServingPolicy
    from fedrisk.privacy.standing import StandingRule
    from fedrisk.recipes import RECIPES
    from fedrisk.recipes.statistics.settings import LevelRule, TableRule
    from fedrisk.recipes.statistics.settings import MeasureRule as MeasureOfStudy
    from fedrisk.serving import decision_table, measures
    from fedrisk.study import Study
    from fedrisk.study_members import Member
    from fedrisk.study_sections import WarningRule
    from fedrisk.watch_rules import WatchRules, Webhook

    of_study: dict[str, type[BaseModel]] = {"study": Study, "institutions": Member}
    of_study |= {
        name: field.annotation
        for name, field in Study.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    of_study |= {"warning": WarningRule}
    of_study |= {recipe.name: recipe.settings for recipe in RECIPES}
    of_study |= {
        "statistics.measures": MeasureOfStudy,
        "statistics.tables": TableRule,
        "statistics.levels": LevelRule,
    }
    of_institution: dict[str, type[BaseModel]] = {
        "institution": Institution,
        "table": TableSource,
        "table.part": Part,
        "dictionary": Dictionary,
        "dictionary.columns": Column,
        "dictionary.columns.history": HistoryKeys,
        "dictionary.label": Label,
        "policy": Policy,
        "policy.standing": StandingRule,
        "policy.serving": ServingPolicy,
        "policy.serving.registers": Register,
        "policy.serving.measures": MeasureRule,
        "histories": HistoriesSource,
        "histories.series": Series,
        "encoders": EncoderRule,
        "encoders.series": Series,
        "watch": WatchRules,
        "watch.webhook": Webhook,
    }
    of_decisions: dict[str, type[BaseModel]] = {
        "decisions": decision_table.Decisions,
        "grades": decision_table.Grade,
        "refer": decision_table.Refer,
        "products": decision_table.Product,
        "products.green": decision_table.Green,
        "products.grades": decision_table.GradeRule,
    }
    of_losses: dict[str, type[BaseModel]] = {
        "loss_rules": loss_rules.LossRules,
        "parties": loss_rules.Party,
        "segments": loss_rules.Segment,
        "segments.layers": loss_rules.Layer,
        "stop": loss_rules.Stop,
        "pool": loss_rules.Pool,
        "figures": loss_rules.Figures,
        "model": loss_rules.Model,
    }
    of_data_set: dict[str, type[BaseModel]] = {
        "data_set": data_set_rules.DataSetFile,
        "data_set.parties": data_set_rules.Party,
        "data_set.split": data_set_rules.Split,
        "data_set.sample": data_set_rules.Sample,
        "data_set.thin": data_set_rules.Thin,
        "data_set.province": data_set_rules.Province,
    }
    return {
        **{k: (_STUDY, m) for k, m in of_study.items()},
        **{k: (_INSTITUTION, m) for k, m in of_institution.items()},
        **{k: (_DECISIONS, m) for k, m in of_decisions.items()},
        "measure": (_MEASURE, measures.Measure),
        "terms": (_MEASURE, measures.Term),
        **{k: (_LOSSES, m) for k, m in of_losses.items()},
        "reward_rules": (_REWARD, reward.RewardRules),
        "quality": (_REWARD, reward.QualityWeights),
        "declared": (_REWARD, reward.Declared),
        "fragility": (_FRAGILITY, fragility_settings.FragilitySettings),
        "quarters": (_FRAGILITY, fragility_settings.Quarter),
        "indicators": (_FRAGILITY, fragility_settings.Indicator),
        "map": (_FRAGILITY, fragility_settings.MapSettings),
        **{k: (_DATA_SET, m) for k, m in of_data_set.items()},
        "sweep": (_SWEEP, sweep.Sweep),
        "grid": (_SWEEP, sweep.Grid),
        "hub": ("hub file (hub.toml)", HubSettings),
        "node": ("node file (node.toml)", NodeSettings),
    }


@cache
def words() -> Mapping[str, Mapping[str, Any]]:
    """keys.toml: by section, ``_about`` and for each key ``means`` and ``example``."""
    return tomllib.loads((files("fedrisk.cli") / "keys.toml").read_text(encoding="utf-8"))


def all_keys() -> Iterator[Key]:
    """Every key, in the order of the files."""
    for section, (file, model) in models().items():
        said = words().get(section, {})
        for name, field in model.model_fields.items():
            if (section, name) in _NOT_WRITTEN:
                continue
            name = field.alias or name
            entry = said.get(name, {"means": "", "example": ""})
            kind = type_words(field.annotation, field.metadata)
            yield Key(file, section, name, kind, _default(field), entry["means"], entry["example"])


def type_words(annotation: Any, metadata: Any = ()) -> str:
    """A type in words, with its limits.

    >>> type_words(float | None), type_words(tuple[str, ...]), type_words(Literal["a", "b"])
    ('number', 'list of text', '"a" or "b"')
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(inner[0], [*inner[1:], *metadata])
    if origin in (Union, types.UnionType):
        # A limit of the whole is one of each of its parts.
        kinds = dict.fromkeys(type_words(a, metadata) for a in inner if a is not types.NoneType)
        return " or ".join(kinds)
    if origin is Literal:
        return " or ".join(f'"{v}"' for v in inner)
    return _simple(annotation, origin, inner) + _limits(metadata)


def _simple(annotation: Any, origin: Any, inner: tuple[Any, ...]) -> str:
    if origin in (tuple, list):
        # Special codes are pairs in the model, and a table of codes with their meanings in files.
        element = inner[0] if inner else str
        return "table" if get_origin(element) is tuple else f"list of {type_words(element)}"
    if origin is not None or annotation is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return _PLAIN.get(annotation, "text")


def _limits(metadata: Any) -> str:
    found = []
    for item in metadata:
        parts = getattr(item, "metadata", None) or [item]
        for part in parts:
            found += [
                text.format(f"{getattr(part, limit):g}")
                for limit, text in _LIMITS.items()
                if isinstance(getattr(part, limit, None), (int, float))
            ]
    return f", {' '.join(found)}" if found else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see the section"
    if value is None or value in ((), {}, ""):
        return "none"
    if isinstance(value, bool | str | int | float):
        return json.dumps(value)
    return json.dumps(list(value)) if isinstance(value, tuple) else str(value)


def markdown() -> str:
    """The reference page."""
    lines = [
        "# Every key of the files",
        "",
        "Made by `fedrisk keys --markdown > docs/keys.md`; `fedrisk keys WORD` shows the same on the screen. A key "
        "that is not here is an error. `--set privacy.epsilon=3` overrides a key of a study for one command.",
    ]
    file, section = "", ""
    for key in all_keys():
        if key.file != file:
            file = key.file
            lines += ["", f"## The {file}"]
        if key.section != section:
            section = key.section
            # Two files have a section parties: the name here tells them apart, and the heading is as people write it.
            title = section if section in _TOP else f"`[{section.removeprefix('data_set.')}]`"
            about = words().get(section, {}).get("_about", "")
            lines += ["", f"### {title}", "", about, "", "| key | type | default | meaning | example |"]
            lines += ["| --- | --- | --- | --- | --- |"]
        cells = (f"`{key.name}`", key.type, key.default, key.means, f"`{key.example}`")
        lines.append(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in cells)} |")
    return "\n".join(lines) + "\n"


def keys(
    word: Annotated[
        str | None, typer.Argument(help="A key, a section, or a part of one, for example privacy.epsilon.")
    ] = None,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The whole page, as docs/keys.md.")] = False,
) -> None:
    """Every key of every file: type, default, meaning, example; for instance fedrisk keys policy."""
    if as_markdown:
        typer.echo(markdown(), nl=False)
        return
    found = _matching(word)
    if as_json:
        tell_json([asdict(key) for key in found])
        return
    section = ""
    for key in found:
        if key.section != section:
            section = key.section
            out.print(f"\n[bold]{key.file}: {section}[/]", highlight=False)
        default = key.default if key.default == "required" else f"default {key.default}"
        out.print(
            f"  [bold]{key.path}[/] ({key.type}; {default})".replace("[]", r"\[]"),
            highlight=False,
        )
        if word is not None:
            out.print(Padding(Text(key.means), (0, 0, 0, 6)))
            out.print(Padding(Text(key.example, style="dim"), (0, 0, 0, 6)))


def _matching(word: str | None) -> list[Key]:
    """Keys of a section, of this path or name, or with the word in one of them; ConfigError where there are none."""
    from fedrisk.errors import ConfigError
    from fedrisk.toml_file import near_name

    known = list(all_keys())
    if word is None:
        return known
    tests = (
        lambda k: word in (k.path, k.section, k.section.split(".")[0]),
        lambda k: word == k.name,
        lambda k: word.lower() in f"{k.path} {k.means}".lower(),
    )
    for test in tests:
        if found := [k for k in known if test(k)]:
            return found
    near = near_name(word, [n for k in known for n in (k.path, k.name, k.section)])
    hint = f'did you mean "{near}"?' if near else "fedrisk keys lists all of them"
    raise ConfigError(f'no key and no section is called "{word}"; {hint}')
