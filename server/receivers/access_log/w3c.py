"""W3C extended logs, whose `#Fields:` line says what is what: IIS, CloudFront and others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from server.receivers.access_log.entry import LeftKind, LeftLine, Read
from server.receivers.access_log.form import Found, Sense, entry_of

FIELDS = "#Fields:"
SOFTWARE = "#Software:"
IIS = "Microsoft"
# Milliseconds in IIS, seconds where the standard is kept: with a point they are seconds.
TAKEN = "time-taken"


@dataclass(slots=True)
class W3CForm:
    """How such a log is read; its fields are named in it."""

    name: str = "W3C extended, by its #Fields line"
    sense: Sense = field(default_factory=Sense)
    given_unit: str | None = None

    def reader(self) -> W3CReader:
        return W3CReader(self)


class W3CReader:
    """Reads one log; a new `#Fields` line in it is followed."""

    def __init__(self, form: W3CForm) -> None:
        self.form = form
        self._fields: tuple[str, ...] = ()
        self._iis = False

    def read(self, line: str) -> tuple[Read, ...]:
        """What the line says; nothing of those that begin with #."""
        if line.startswith("#"):
            if line.startswith(SOFTWARE):
                self._iis = IIS in line
            if line.startswith(FIELDS):
                self._fields = tuple(line[len(FIELDS) :].split())
            return ()
        values = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if not self._fields or len(values) != len(self._fields):
            return (
                LeftLine(
                    LeftKind.REFUSED, f"it has {len(values)} fields, not the {len(self._fields)} of its #Fields line"
                ),
            )
        record = dict(zip(self._fields, values, strict=True))
        taken = record.get(TAKEN, "")
        sense = self.form.sense
        sense.unit = self.form.given_unit or ("s" if "." in taken else "ms" if self._iis else None)
        return (entry_of(found_in(record), sense),)

    def rest(self) -> Iterator[Read]:
        """Nothing waits for another line."""
        return iter(())


def found_in(record: dict[str, str]) -> Found:
    """What is what; times are in UTC, as the standard says."""
    when = f"{record['date']} {record['time']}Z" if "date" in record and "time" in record else record.get("time")
    return {
        "time": when,
        "method": record.get("cs-method"),
        "target": record.get("cs-uri-stem") or record.get("cs-uri"),
        "status": record.get("sc-status"),
        "taken": record.get(TAKEN),
        "id": record.get("x-edge-request-id"),
    }
