"""A whole line as one regular expression: of a server that is known by it, or compiled from its format string."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from server.receivers.access_log.entry import LeftKind, LeftLine, Read
from server.receivers.access_log.form import Sense, entry_of
from server.receivers.access_log.peers import Peers
from server.receivers.access_log.quick import quick


@dataclass(slots=True)
class PatternForm:
    """How lines are read: groups of `pattern` are named as the parts of `Found`.

    `took` says in words which part is the time taken; empty where there is none.
    """

    name: str
    pattern: re.Pattern[str]
    took: str = ""
    sense: Sense = field(default_factory=Sense)
    sure: bool = True  # whether the time is start or end is known, not supposed
    usual: re.Pattern[str] | None = field(default=None, compare=False)  # takes most lines, as `pattern` does
    others: tuple[re.Pattern[str], ...] = ()  # what the same server writes beside, in the same sense

    def reader(self) -> PatternReader:
        return PatternReader(self)


class PatternReader:
    """Reads lines of one log."""

    def __init__(self, form: PatternForm) -> None:
        self.form = form
        self._peers = Peers()
        self._quick = quick(form.usual or form.pattern, form.sense)

    def read(self, line: str) -> tuple[Read, ...]:
        """What the line says."""
        if self._quick is not None and (at_once := self._quick.read(line)) is not None:
            return (at_once,)
        patterns = (self.form.pattern, *self.form.others)
        match = next((match for pattern in patterns if (match := pattern.fullmatch(line))), None)
        if match is None:
            return (LeftLine(LeftKind.REFUSED, f"it has not the form of {self.form.name}"),)
        found = match.groupdict()
        read = entry_of(found, self.form.sense)
        return (self._peers.judged(found.get("peer"), found.get("request") or "", found, read),)

    def rest(self) -> Iterator[Read]:
        """Nothing waits for another line."""
        return iter(())
