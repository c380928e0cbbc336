"""An institution's own file: its name, where its table lies, what the columns are, what it allows.

The file stays on the institution's machine. ``${NAME}`` in a path is an environment variable. The
node keeps its keys, ledger and pseudonyms in ``store``; by default that is ``institutions/NAME`` below the
folder that FEDRISK_HOME names (default ``~/.fedrisk``).

A data holder may state sequence encoders over monthly histories (models/encoder). Once one is trained, its few
outputs are columns of this institution like any other, ``invoicing_1`` to ``invoicing_4`` here; before, they
are not there. ::

    [[encoders]]
    name = "invoicing"
    months = 18
    outputs = 4
    histories = { source = "../histories/tax_office.parquet" }
    series = [
        { name = "invoices", unit = "invoices", low = 0, high = 3000 },
        { name = "invoice_amount", unit = "yuan", low = 0, high = 1e8 },
    ]

Histories may also be stated once for all, in ``[histories]`` (models/history_file): encoders without histories of their
own read these, and columns of the dictionary with a ``history`` are computed from them (models/history_columns).
"""

import contextlib
import dataclasses
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, PrivateAttr, model_validator

from fedrisk.data.dictionary import Dictionary
from fedrisk.data.frame_file import parquet_of
from fedrisk.data.place import expand
from fedrisk.data.source import TableSource
from fedrisk.data.table import Table, raise_for, read_table
from fedrisk.errors import ConfigError, DataError
from fedrisk.file_rules import Stated, checked
from fedrisk.files import write_atomic
from fedrisk.home import home as home
from fedrisk.home import resolved
from fedrisk.models.histories import EncoderRule, Histories, arranged, scaled, scaled_paths
from fedrisk.models.history_file import HistoriesSource, read_columns, read_paths
from fedrisk.models.history_terms import filled, problems_of
from fedrisk.models.installed_encoders import InstalledEncoders
from fedrisk.models.trainable import TrainedModel
from fedrisk.privacy.policy import Policy
from fedrisk.renamed import INSTITUTION_KEYS, INSTITUTION_VALUES, renamed
from fedrisk.study import DEFAULT_LABEL
from fedrisk.study_members import BANK, HOLDING, WITHOUT_TABLE, Role
from fedrisk.study_sections import Name
from fedrisk.toml_file import load_toml, toml_text
from fedrisk.watch_rules import WatchRules

WITHOUT_LABELS = {"statistics"}
"""Recipes for which a bank needs no label."""


_A = {"regulator": "a regulator", "agent": "an agent"}


class Institution(BaseModel, metaclass=Stated):
    """One institution as its own machine knows it; ``folder`` is where its file lies, ``file`` the file itself.

    Made in code, ``table`` may be a DataFrame: it is written beside the institution's file when that is saved.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    kind: Role
    table: TableSource | None = None
    dictionary: Dictionary | None = None
    policy: Policy = Policy()
    store: str | None = None
    histories: HistoriesSource | None = None
    encoders: tuple[EncoderRule, ...] = ()
    decisions: str | None = None
    watch: WatchRules | None = None
    folder: Path = Path(".")
    file: Path | None = None
    _frame: pd.DataFrame | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _complete(self) -> "Institution":
        if self.has_table and (self.table is None or self.dictionary is None):
            raise ValueError(
                f"a {self.kind} needs [table] and [dictionary]; only an authority, a regulator or an agent goes without"
            )
        if self.kind in ("regulator", "agent") and (self.table is not None or self.dictionary is not None):
            raise ValueError(f"{_A[self.kind]} brings no records; remove [table] and [dictionary]")
        learns = set(self.policy.recipes) - WITHOUT_LABELS
        if learns and self.kind == "bank" and self.dictionary is not None and self.dictionary.label is None:
            raise ValueError(
                "a bank needs [dictionary.label]: which column says default, and over what horizon"
            )
        if self.decisions is not None and self.kind != "bank":
            raise ValueError("decisions: a table of decisions is for a bank; remove it")
        if self.watch is not None and self.kind != "bank":
            raise ValueError("[watch] is for a bank, which has loans to watch; remove it")
        if self.encoders and (self.kind not in HOLDING or self.dictionary is None):
            raise ValueError("[[encoders]] are for holders; remove them from a bank's or authority's file")
        if self.dictionary is not None:
            names = [c.name for c in self.dictionary.columns] + [c for e in self.encoders for c in e.columns]
            names += [e.name for e in self.encoders]
            if twice := sorted({n for n in names if names.count(n) > 1}):
                raise ValueError(f"encoders: {', '.join(twice)} is used twice; rename the encoder")
            if problems := [*problems_of(self.dictionary, self.histories), *self._unread()]:
                raise ValueError("\n".join(problems))
        return self

    def _unread(self) -> list[str]:
        """Encoders without histories of their own that [histories] does not have."""
        found = []
        for rule in (e for e in self.encoders if e.histories is None):
            if self.histories is None:
                found.append(f"encoder {rule.name}: has no histories; add them, or [histories] for all")
                continue
            lacking = [s.name for s in rule.series if not s.reads_as(self.histories.of(s.name))]
            if lacking:
                found.append(
                    f"encoder {rule.name}: series {', '.join(lacking)} is not in [histories], or not the same there; "
                    "leave series out, or give the encoder histories of its own"
                )
            if rule.months > self.histories.months:
                found.append(
                    f"encoder {rule.name}: months = {rule.months} are more than [histories] states; lower them"
                )
        return found

    @model_validator(mode="wrap")
    @classmethod
    def _with_frame(cls, content: Any, handler: ModelWrapValidatorHandler["Institution"]) -> "Institution":
        content = filled(content) if isinstance(content, Mapping) else content
        frame = content.get("table") if isinstance(content, Mapping) else None
        if not isinstance(frame, pd.DataFrame):
            return handler(content)
        made = handler({**content, "table": {"source": f"{content.get('name')}.parquet"}})
        made._frame = frame
        return made

    def to_toml(self) -> str:
        """The institution as its file has it, without what is as by default; read again, it is the same."""
        content = self.model_dump(exclude_defaults=True, exclude={"folder", "file", "dictionary"})
        if self.dictionary is not None:
            content["dictionary"] = self.dictionary.stated()
        return toml_text(content)

    def save(self, folder: str | Path) -> Path:
        """Write ``NAME.toml`` to a folder, and a table that is a DataFrame beside it; the path of the file.

        Both are readable by their owner alone. Relative paths of a table in a file are made whole where the institution
        was read from another folder. DataError where the DataFrame has a column that no file can hold, StoreError
        where the files cannot be written.
        """
        folder, file = Path(folder), Path(folder) / f"{self.name}.toml"
        if self._frame is not None:
            write_atomic(folder / f"{self.name}.parquet", parquet_of(self.name, self._frame))
        write_atomic(file, self._at_home(folder).to_toml().encode())
        return file

    def _at_home(self, folder: Path) -> "Institution":
        """The same with whole paths, where the file moves to another folder: what it names stays where it is.

        A store above all: from another folder it would be a new one, whose ledger begins at nothing.
        """
        if folder.resolve() == self.folder.resolve():
            return self
        changed: dict[str, Any] = {}
        for name, said in (("store", self.store), ("decisions", self.decisions)):
            if said is not None:
                changed[name] = self._whole(said)
        if self.table is not None and self._frame is None:
            changed["table"] = self._moved(self.table)
        if self.histories is not None:
            changed["histories"] = self.histories_at_home
        if self.encoders:
            changed["encoders"] = self.encoders_at_home
        return self.model_copy(update=changed)

    @property
    def histories_at_home(self) -> HistoriesSource | None:
        """The histories with a whole path, for a file in another folder."""
        if self.histories is None or self.histories.is_database:
            return self.histories
        return self.histories.model_copy(update={"source": self._whole(self.histories.source)})

    @property
    def encoders_at_home(self) -> tuple[EncoderRule, ...]:
        """The encoders with whole paths, for a file in another folder."""
        return tuple(
            rule
            if rule.histories is None
            else rule.model_copy(update={"histories": self._moved(rule.histories)})
            for rule in self.encoders
        )

    def _moved(self, table: TableSource) -> TableSource:
        return table if table.is_database else table.model_copy(update={"source": self._whole(table.source)})

    def _whole(self, said: str) -> str:
        """A path that does not begin at the file's folder; variables stay as they are where they begin it."""
        if said.startswith("$") or Path(said).expanduser().is_absolute():
            return said
        return str(self.folder.resolve() / said)

    @property
    def as_file(self) -> Path | None:
        """Its file where that says exactly this; None where it was made or changed in code."""
        if self.file is None or self._frame is not None or not self.file.is_file():
            return None
        return self.file if load_institution(self.file) == self else None

    @property
    def has_table(self) -> bool:
        """Whether an institution of its kind brings records, and is charged for what is computed on them."""
        return self.kind not in WITHOUT_TABLE

    @property
    def store_path(self) -> Path:
        """Folder of the node's own store: absolute, with links followed. A relative ``store`` begins at ``folder``."""
        if self.store:
            return resolved(self.store, what=f"store of {self.name}", base=self.folder.absolute())
        return Path(os.path.realpath(home() / "institutions" / self.name))

    @property
    def installed(self) -> InstalledEncoders:
        """Its trained encoders, in its store."""
        return InstalledEncoders(self.name, self.store_path / "encoders", self.encoders)

    @property
    def decisions_path(self) -> Path | None:
        """The bank's table of decisions (serving/decisions), or None; a relative path begins at ``folder``."""
        return None if self.decisions is None else self.folder / Path(expand(self.decisions)).expanduser()

    @property
    def place(self) -> str | None:
        """Where the table lies: a file's path with links followed, or a database's address without its user.

        None at an authority. Says nothing of what is in the table.
        """
        if self.table is None:
            return None
        source = self.table.source
        with contextlib.suppress(ConfigError):
            source = expand(source)
        if self.table.is_database:
            return re.sub(r"//[^/@]*@", "//", source)
        return os.path.realpath(self.folder / Path(source).expanduser())

    def read(self) -> Table:
        """Read and check the table, with the columns that are computed from histories and those of trained encoders.

        ConfigError or DataError with every rule that a file breaks.
        """
        if self.table is None or self.dictionary is None:
            raise ConfigError(f"institution {self.name} is an {self.kind} and has no table to read")
        if self._frame is not None:
            with tempfile.TemporaryDirectory() as folder:
                write_atomic(Path(folder) / self.table.source, parquet_of(self.name, self._frame))
                return self.encoded(read_table(self.table, self.dictionary, base=folder))
        return self.encoded(read_table(self.table, self.dictionary, base=self.folder))

    def encoded(self, table: Table) -> Table:
        """A table that was read, with the columns from histories and of trained encoders; errors as :meth:`read`."""
        table = self._computed(table)
        for rule in self.encoders:
            trained = self.installed.load(rule.name)
            if trained is not None:
                table = self._encoded(table, rule, trained)
        return table

    def _computed(self, table: Table) -> Table:
        """The table with the columns that are computed from histories, after what was noted on their file."""
        if self.dictionary is None or self.histories is None or not self.dictionary.computed:
            return table
        where = f"histories of {self.name}"
        try:
            columns, checks = read_columns(self.histories, self.dictionary, self.folder, table.ids)
        except (ConfigError, DataError) as error:
            raise type(error)(f"{where}: {error}") from None
        raise_for(checks, where=where)
        state = hashlib.sha256(f"{table.digest}:".encode())
        for name, values in columns.items():
            state.update(f"{name}:{len(values)}:".encode())
            state.update(values.data)
        frame = table.frame.assign(**columns)
        return dataclasses.replace(
            table, frame=frame, digest=state.hexdigest(), checks=(*table.checks, *checks)
        )

    def described(self) -> Dictionary | None:
        """The dictionary with the columns of trained encoders; ``dictionary`` itself is the table's alone."""
        if self.dictionary is None:
            return None
        more = [c for e in self.encoders if self.installed.load(e.name) for c in e.dictionary_columns()]
        return self.dictionary.model_copy(update={"columns": (*self.dictionary.columns, *more)})

    def about(self, label: str | None) -> "Institution":
        """A bank as it is in a study about one of its labels: that one alone is read.

        label: as the study names it; None for the one called ``default``, and for a bank that has none of that name the
        bank as it is. ConfigError where a named one is not there.
        """
        dictionary = self.dictionary
        if self.kind != BANK or dictionary is None:
            return self
        if label is None and all(one.name != DEFAULT_LABEL for one in dictionary.labels):
            return self
        try:
            narrowed = dictionary.with_label(label or DEFAULT_LABEL)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {error}") from None
        return self if narrowed == dictionary else self.model_copy(update={"dictionary": narrowed})

    @property
    def files(self) -> tuple[Path, ...] | None:
        """Every file that :meth:`read` looks at; None where the table lies in a database."""
        if self.table is None or self.table.is_database:
            return None
        sources: list[TableSource | None] = [self.table]
        found: list[Path] = []
        for rule in self.encoders:
            installed = self.installed.file(rule.name)
            if installed is not None:
                found.append(installed)
                sources += [rule.histories or self.histories]
        if self.dictionary is not None and self.dictionary.computed:
            sources.append(self.histories)
        read = [source for source in sources if source is not None]
        if any(source.is_database for source in read):
            return None
        places = [self.folder / Path(expand(source.source)).expanduser() for source in read]
        return tuple(dict.fromkeys([*places, *found]))

    def encoder_histories(self, name: str, ids: NDArray[np.object_]) -> Histories:
        """Histories of an encoder in the order of ``ids`` (normalised, as in a Table).

        (n, months, series) float32 in [0, 1], NaN where a month or the enterprise is missing. ConfigError where the
        file is not there, DataError with every rule that it breaks.
        """
        rule = self.installed.rule(name)
        if self.dictionary is None:
            raise ConfigError(f"institution {self.name} has no [dictionary]; add it to its file")
        try:
            if rule.histories is None:
                names = [s.name for s in rule.series]
                paths = read_paths(
                    self.stated_histories(), self.dictionary, self.folder, ids, names, rule.months
                )
                return scaled_paths(rule, paths)
            file = read_table(rule.histories, rule.file_dictionary(self.dictionary), base=self.folder)
            return arranged(scaled(rule, file.frame), file.ids, ids)
        except (ConfigError, DataError) as error:
            raise type(error)(f"encoder {name} of {self.name}: {error}") from None

    def stated_histories(self) -> HistoriesSource:
        """What ``[histories]`` states; ConfigError where the file has none."""
        if self.histories is None:
            raise ConfigError(f"institution {self.name} has no [histories]; add it to its file")
        return self.histories

    def encoder_design(self, name: str) -> dict[str, Any]:
        """The public design of an encoder, as `models.encoder.EncoderDesign` writes it. Loads torch."""
        from fedrisk.models.encoder import EncoderDesign

        return EncoderDesign.of(self.installed.rule(name)).to_dict()

    def _encoded(self, table: Table, rule: EncoderRule, trained: TrainedModel) -> Table:
        try:  # loads torch, for holders with an encoder alone
            from fedrisk.models.encoder import EncoderDesign, encode
        except ImportError:
            raise ConfigError(
                f"{self.name}: encoder {rule.name} needs PyTorch, which is not installed; "
                "run pip install fedrisk[neural]"
            ) from None

        design = EncoderDesign.from_dict(trained.design)
        outputs = encode(design, trained.weights, self.encoder_histories(rule.name, table.ids)).astype(
            np.float64
        )
        frame = table.frame.assign(**{c: outputs[:, k] for k, c in enumerate(rule.columns)})
        state = hashlib.sha256(f"{table.digest}:{rule.name}:{outputs.shape}:".encode())
        state.update(np.ascontiguousarray(outputs).data)
        return dataclasses.replace(table, frame=frame, digest=state.hexdigest())


def load_institution(path: str | Path) -> Institution:
    """Read an institution file; ConfigError names the file and every rule that it breaks."""
    path = Path(path)
    content: dict[str, Any] = load_toml(path, what="institution file")
    if isinstance(content.get("institutions"), list) and "kind" not in content:
        raise ConfigError(
            f"{path} is a study's file, and an institution's is wanted; name a file such as institutions/bank.toml here"
        )
    content = renamed(content, INSTITUTION_KEYS, INSTITUTION_VALUES, where=f"institution file {path}")
    if own := {"folder", "file"} & content.keys():
        raise ConfigError(
            f"institution file {path}: {', '.join(sorted(own))} is no key of this file; remove it"
        )
    content |= {"folder": path.resolve().parent, "file": path.resolve()}
    return checked(Institution, content, where=f"institution file {path}")


def find_institutions(
    study_file: Path, names: tuple[str, ...], folder: Path | None = None
) -> dict[str, Path]:
    """Paths of the members' files for a study on one machine: ``institutions/NAME.toml`` beside the study.

    ConfigError names those that are missing.
    """
    folder = folder or study_file.resolve().parent / "institutions"
    paths = {name: folder / f"{name}.toml" for name in names}
    missing = [name for name, path in paths.items() if not path.is_file()]
    if missing:
        raise ConfigError(
            f"no institution file for {', '.join(missing)} in {folder}; expected NAME.toml for each "
            "institution of the study, or name the folder with --institutions"
        )
    return paths
