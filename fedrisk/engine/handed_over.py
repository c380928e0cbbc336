"""What was handed over, checked by whoever has it: exported trails, signed tables of a study, and what results say.

A folder may hold trails (``fedrisk audit export``), the signed tables of a study (beside its results), or both. Each
trail is checked with its key and its signed head, each table with its key; tables are held against the trails that are
there, all against each other, and the results beside the tables against the tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedrisk.audit.crosscheck import Said, crosscheck
from fedrisk.audit.entry import AuditEntry
from fedrisk.audit.signed_head import read_signed_head
from fedrisk.audit.table import TABLES_FILE, SignedTable, lines_of, tables_from_json
from fedrisk.audit.verify import VerifyResult, read, verify
from fedrisk.elliptic.weak_points import refuse_weak
from fedrisk.errors import ConfigError, EnvelopeError
from fedrisk.findings import Finding
from fedrisk.secure.identity import HUB
from fedrisk.secure.pins import Pins
from fedrisk.server.results import METRICS, Results
from fedrisk.server.tables import differing, disagreement_finding, seen


@dataclass(frozen=True, kw_only=True)
class Trail:
    """One exported trail. key: by which it was checked, hexadecimal; former: those before it, oldest first.

    entries: none where it does not hold.
    """

    key: str
    former: tuple[str, ...]
    result: VerifyResult
    entries: tuple[AuditEntry, ...]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was found in a folder.

    trails: by institution. tables: those that hold. broken: what does not hold or is of two keys, as findings.
    attempts: that were compared. disagreements: attempt and finding, for each. absent: attempt and institution of which
    there is neither table nor trail, though others name it.
    """

    trails: Mapping[str, Trail]
    tables: tuple[SignedTable, ...]
    broken: tuple[Finding, ...]
    attempts: tuple[str, ...]
    disagreements: tuple[tuple[str, Finding], ...]
    absent: tuple[tuple[str, str], ...]

    @property
    def keys(self) -> dict[str, str]:
        """Key of each institution, hexadecimal."""
        return {table.institution: table.key for table in self.tables} | {
            name: trail.key for name, trail in self.trails.items()
        }

    @property
    def ok(self) -> bool:
        """Whether all holds and nothing disagrees."""
        return not (self.broken or self.disagreements) and all(t.result.ok for t in self.trails.values())


def compare(folder: Path, pins: Pins | None = None) -> Compared:
    """Check and compare what a folder holds; nothing is written.

    pins: keys of institutions, earlier ones included, that whoever looks has got by another channel; without them keys
    are taken as they come with tables and trails. Errors: ConfigError where there is neither trail nor table, or a file
    is damaged; EnvelopeError where a trail's key or head is missing.
    """
    tables = _tables(folder)
    trails = _trails(folder, tables)
    if not tables and not trails:
        raise ConfigError(
            f"{folder} holds neither a trail (NAME.jsonl) nor signed tables ({TABLES_FILE}); name a folder that "
            "'fedrisk audit export' wrote, or the folder of a run's results"
        )
    work = _Comparison(tables, trails, pins or Pins(None, {}))
    work.check_keys()
    work.compare()
    if (folder / METRICS).exists() and tables:
        work.check_results(Results.load(folder))
    return work.found()


def _tables(folder: Path) -> list[SignedTable]:
    file = folder / TABLES_FILE
    if not file.exists():
        return []
    try:
        return [*tables_from_json(file.read_bytes())]
    except (OSError, ValueError, TypeError, KeyError, EnvelopeError):
        raise ConfigError(f"{file} is damaged; ask whoever handed it over for it again") from None


def _trails(folder: Path, tables: Sequence[SignedTable]) -> dict[str, Trail]:
    """Trails by institution; an error names a file that is missing or damaged."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        name, public = path.stem, folder / f"{path.stem}.public"
        try:
            keys = [bytes.fromhex(line) for line in public.read_text(encoding="ascii").split()]
        except (OSError, ValueError):
            keys = []
        if not keys or any(len(key) != 32 for key in keys):
            raise EnvelopeError(
                f"{public} holds no key; ask {name} for it again, and compare it by another channel"
            )
        for key in keys:
            refuse_weak({name: key})
        # The present key first, then those before it (a rotation is an entry of the trail).
        key, *former = keys
        heads = [read_signed_head(folder / f"{name}.head.json")]
        heads += [t.head for t in tables if t.institution == name and any(map(t.holds, keys))]
        result = verify(path, key, heads, name, former=former)
        entries = tuple(read(path)) if result.ok else ()
        found[name] = Trail(
            key=key.hex(), former=tuple(one.hex() for one in former), result=result, entries=entries
        )
    return found


@dataclass
class _Comparison:
    """The work of `compare`."""

    given: Sequence[SignedTable]
    trails: Mapping[str, Trail]
    pins: Pins
    broken: list[Finding] = field(default_factory=list)
    differ: list[tuple[str, Finding]] = field(default_factory=list)
    absent: list[tuple[str, str]] = field(default_factory=list)
    tables: dict[tuple[str, str], SignedTable] = field(default_factory=dict)
    attempts: tuple[str, ...] = ()

    def found(self) -> Compared:
        return Compared(
            trails=self.trails,
            tables=tuple(self.tables.values()),
            broken=tuple(self.broken),
            attempts=self.attempts,
            disagreements=tuple(self.differ),
            absent=tuple(self.absent),
        )

    def check_keys(self) -> None:
        """Tables that hold, one of each institution and attempt; the key of each is one, and the pinned one."""
        keys: dict[str, set[str]] = {name: {trail.key} for name, trail in self.trails.items()}
        for table in self.given:
            place = table.attempt, table.institution
            if place in self.tables or not table.holds(bytes.fromhex(table.key)):
                self.broken.append(Finding("table_broken", {"institution": table.institution}))
                continue
            self.tables[place] = table
            keys.setdefault(table.institution, set()).add(table.key)
        for name, known in sorted(keys.items()):
            if not known <= self._allowed(name, known):
                self.broken.append(Finding("key_not_pinned", {"institution": name}))

    def _allowed(self, name: str, known: set[str]) -> set[str]:
        """Keys that an institution may have signed with: pinned ones, else its trail's, else the one that comes."""
        if name in self.pins.institutions:
            return {key.hex() for key in (self.pins.of(name), *self.pins.former.get(name, ()))}
        if name in self.trails:
            return {self.trails[name].key, *self.trails[name].former}
        return known if len(known) == 1 else set()

    def compare(self) -> None:
        """Tables against trails, and all against each other, by attempt."""
        every = {entry.attempt for trail in self.trails.values() for entry in trail.entries if entry.attempt}
        self.attempts = tuple(sorted(every | {attempt for attempt, _ in self.tables}))
        for attempt in self.attempts:
            said: dict[str, Sequence[Said]] = {
                name: table.lines for (of, name), table in self.tables.items() if of == attempt
            }
            for name, trail in self.trails.items():
                lines = lines_of(trail.entries, attempt)
                if trail.result.ok and name in said and said[name] != lines:
                    self.differ.append((attempt, Finding("table_not_of_trail", {"institution": name})))
                if trail.result.ok and (lines or name in said):
                    said[name] = [e for e in trail.entries if e.attempt == attempt]
            self.differ += [(attempt, disagreement_finding(one)) for one in crosscheck(said, attempt)]
            named = {
                e.counterparty for lines in said.values() for e in lines if e.event in ("sent", "received")
            }
            self.absent += [(attempt, name) for name in sorted(named - set(said) - {HUB, ""})]

    def check_results(self, results: Results) -> None:
        """Whether results say what the tables beside them say, and name whose table is missing."""
        tables = [t for (attempt, _), t in sorted(self.tables.items()) if attempt == results.attempt]
        told = {f.values.get("institution") for f in results.findings if f.code == "table_missing"}
        lacking = set(results.institutions) - {t.institution for t in tables} - told
        same = seen(tables) == results.disclosures
        same = same and differing(tables, results.attempt) == results.disagreements
        if lacking or not same or len(tables) < len(self.given):
            self.differ.append((results.attempt, Finding("results_not_of_tables", {})))
