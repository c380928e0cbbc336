"""The record of a watch's alerts: what was raised, what became of it, and who was told. Lines are added, never changed.

``alerts.jsonl`` has a line of JSON for each alert that was raised (with all that it says, and where it is to go), each
sign that came to its event later, the end of its event, and each act of a person (acknowledged, closed: who, when,
why). ``delivered.jsonl`` has a line for each alert and sink that took it, refused it (why), or is to
get it once more after that (``again``). ``events/MONTH.json`` has the events that are
not over after a month: it follows from the rest, and the next month begins with it.

A process may be killed between any two bytes. A line that is not whole was never told to anybody, is cut off, and is
written again, since alerts of a month follow from what is kept; one that is there is not written twice.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import locked, private_append, private_file, read_json, read_kept, write_atomic
from fedrisk.watching.alerts import Alert, Event, Found
from fedrisk.watching.month import Month

ALERTS: Final = "alerts.jsonl"
DELIVERED: Final = "delivered.jsonl"
TAKEN: Final = "taken"
WAITING: Final = "waiting"
"""What became of an alert at a sink; a reason where it was refused."""
LEAST_DIGITS: Final = 4
"""Fewest digits by which an alert is named."""

_REMEDY: Final = "put it back from its copy"

State = Literal["open", "acknowledged", "closed"]
Act = Literal["acknowledged", "closed"]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An alert as it stands today.

    state: open until a person acknowledges or closes it. more: signs that came later in its event, with their month.
    over: month in which its event was over. acts: what people did, the oldest first: ``what``, ``who``, ``time``,
    ``reason``, ``month`` (the last that was kept then). to: sinks that it is for.
    """

    alert: Alert
    state: State = "open"
    more: tuple[tuple[str, str], ...] = ()
    over: str | None = None
    acts: tuple[Mapping[str, str], ...] = ()
    to: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **self.alert.to_dict(),
            "state": self.state,
            "more": [{"month": month, "rule": rule} for month, rule in self.more],
            "over": self.over,
            "acts": [dict(act) for act in self.acts],
        }


@dataclass(frozen=True)
class AlertBook:
    """The record in the folder of a watch; several processes wait for each other."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file of alerts."""
        return self.folder / ALERTS

    def add(self, month: Month, found: Found, to: Sequence[str]) -> list[Alert]:
        """Enter what a month brought, but for lines that are there; the alerts that were not.

        to: names of the sinks that new alerts are for. StoreError where the disk takes nothing.
        """
        now = _time()
        lines: list[dict[str, Any]] = [
            {"what": "raised", "month": str(month), "time": now, "alert": a.to_dict(), "to": list(to)}
            for a in found.alerts
        ]
        lines += [
            {"what": "more", "month": str(month), "alert": alert, "rules": list(rules)}
            for alert, rules in found.more.items()
        ]
        lines += [{"what": "over", "month": str(month), "alert": alert} for alert in found.over]
        with self._writing():
            there = {_key(line) for line in self._read(ALERTS)}
            new = [line for line in lines if _key(line) not in there]
            self._append(ALERTS, new)
        return [Alert.from_dict(line["alert"]) for line in new if line["what"] == "raised"]

    def act(self, said: str, what: Act, *, who: str, reason: str, month: Month | None) -> Standing:
        """Enter what a person did with an alert. said: its id, or the beginning of it. month: the last that is kept.

        ConfigError where there is no such alert, several begin so, or it is closed already.
        """
        with self._writing():
            found = self.find(said)
            if found.state == "closed":
                raise ConfigError(
                    f"alert {found.alert.id[:8]} is closed already; fedrisk watch alerts says by whom and why"
                )
            line = {
                "what": what,
                "alert": found.alert.id,
                "time": _time(),
                "who": who,
                "reason": reason,
                "month": "" if month is None else str(month),
            }
            self._append(ALERTS, [line])
        return self.find(found.alert.id)

    def find(self, said: str) -> Standing:
        """The alert whose id begins so; ConfigError where none does, or several."""
        fits = self.begins(said)
        if len(said) < LEAST_DIGITS or not fits:
            raise ConfigError(
                f"there is no alert {said} in this watch; fedrisk watch alerts lists them, and the first "
                f"{LEAST_DIGITS} digits of its id name one"
            )
        if len(fits) > 1:
            raise ConfigError(f"{len(fits)} alerts begin with {said}; give more digits of the id")
        return fits[0]

    def begins(self, said: str) -> list[Standing]:
        """Alerts whose id begins so."""
        return [one for one in self.standing() if one.alert.id.startswith(said.lower())]

    def standing(self) -> list[Standing]:
        """All alerts as they stand, the oldest first."""
        out: dict[str, Standing] = {}
        for line in self._read(ALERTS):
            if line["what"] == "raised":
                alert = Alert.from_dict(line["alert"])
                out.setdefault(alert.id, Standing(alert=alert, to=tuple(line["to"])))
            elif line["alert"] in out:
                out[line["alert"]] = _with(out[line["alert"]], line)
        return list(out.values())

    def closed(self) -> dict[str, str]:
        """Alerts that a person closed, with the last month that was kept then."""
        return {line["alert"]: line["month"] for line in self._read(ALERTS) if line["what"] == "closed"}

    def events(self, month: Month) -> dict[str, Event]:
        """Events that were not over after a month, by enterprise, with what people closed since.

        StoreError where the file of a month that is over is gone: without it, alerts would be raised twice.
        """
        file = self.folder / "events" / f"{month}.json"
        content = read_json(file, _REMEDY)
        closed = self.closed()
        out = {}
        for enterprise, said in content.items():
            event = Event.from_dict(said)
            when = closed.get(event.alert)
            out[enterprise] = event if not when else replace(event, closed=event.closed or when)
        return out

    def keep_events(self, month: Month, events: Mapping[str, Event]) -> None:
        """Keep the events that are not over after a month."""
        content = {enterprise: asdict(event) for enterprise, event in events.items()}
        write_atomic(self.folder / "events" / f"{month}.json", json.dumps(content, sort_keys=True).encode())

    def has_events(self, month: Month) -> bool:
        """Whether a month's alerts are entered."""
        return (self.folder / "events" / f"{month}.json").is_file()

    # --- who was told -----------------------------------------------------------------------------------------

    def waiting(self, sink: str) -> list[Alert]:
        """Alerts that are for a sink, and that it has neither taken nor refused, the oldest first."""
        told = self._told()
        return [one.alert for one in self.standing() if sink in one.to and (sink, one.alert.id) not in told]

    def delivered(self, sink: str, alerts: Iterable[Alert]) -> None:
        """A sink took these."""
        now = _time()
        with self._writing():
            self._append(DELIVERED, [{"sink": sink, "alert": a.id, "time": now} for a in alerts])

    def refused(self, sink: str, alert: Alert, reason: str) -> None:
        """A sink refused one; it gets it no more until `again`."""
        line = {"sink": sink, "alert": alert.id, "time": _time(), "refused": reason}
        with self._writing():
            self._append(DELIVERED, [line])

    def again(self, alert: str | None) -> int:
        """What sinks refused waits for them once more: of one alert (its id), or of all; how many times."""
        now = _time()
        with self._writing():
            lines = [
                {"sink": sink, "alert": id, "time": now, "again": True}
                for (sink, id), refused in self._told().items()
                if refused and alert in (None, id)
            ]
            self._append(DELIVERED, lines)
        return len(lines)

    def deliveries(self) -> dict[str, dict[str, str]]:
        """By alert and sink that it is for: ``taken``, ``waiting``, or why it was refused."""
        told = self._told()
        return {
            one.alert.id: {
                sink: (told[sink, one.alert.id] or TAKEN) if (sink, one.alert.id) in told else WAITING
                for sink in one.to
            }
            for one in self.standing()
        }

    def _told(self) -> dict[tuple[str, str], str]:
        """By sink and alert: empty where it was taken, else why it was refused. Those that wait are not in it."""
        told: dict[tuple[str, str], str] = {}
        for line in self._read(DELIVERED):
            key = (line["sink"], line["alert"])
            if line.get("again"):
                told.pop(key, None)
            else:
                told[key] = line.get("refused", "")
        return told

    # --- lines ------------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Any:
        try:
            with locked(self.folder / "alerts.lock"):
                yield
        except OSError as error:
            raise StoreError(
                f"{self.folder} cannot be written: {error.strerror}; check space and permissions"
            ) from None

    def _read(self, name: str) -> list[dict[str, Any]]:
        """Whole lines of a file; the rest of one that was cut off is no line."""
        file = self.folder / name
        if not file.exists():
            return []
        raw = read_kept(file, _REMEDY)
        whole = raw[: raw.rfind(b"\n") + 1]
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            raise StoreError(f"{file} is damaged; {_REMEDY}") from None

    def _append(self, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
        """Add lines, on the disk when it returns."""
        if not lines:
            return
        file = self.folder / name
        private_file(file)
        raw = file.read_bytes()
        with private_append(file) as handle:
            if len(raw) != raw.rfind(b"\n") + 1:
                os.ftruncate(handle, raw.rfind(b"\n") + 1)
            left = memoryview(b"".join(json.dumps(line, sort_keys=True).encode() + b"\n" for line in lines))
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)


def _with(one: Standing, line: Mapping[str, Any]) -> Standing:
    """An alert after one more line."""
    if line["what"] == "more":
        came = tuple((str(line["month"]), str(rule)) for rule in line["rules"])
        return replace(one, more=(*one.more, *came))
    if line["what"] == "over":
        return replace(one, over=line["month"])
    act = {name: str(line[name]) for name in ("what", "who", "time", "reason", "month")}
    return replace(one, state=line["what"], acts=(*one.acts, act))


def _key(line: Mapping[str, Any]) -> tuple[str, str, str]:
    """What a line is about: the same is never entered twice."""
    alert = line["alert"]["id"] if line["what"] == "raised" else line["alert"]
    return line["what"], alert, line.get("month", "") if line["what"] in ("more", "over") else ""


def _time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
