"""What senders were refused by a limit, per service: while there is any, the service is partial. What was lost before
it came makes it blind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from server.config.registry import SETTINGS
from server.ingest.tally import LOST

# Refused as sent, for want of room or by a limit; a body that is wrong in itself (422) is the sender's bug.
BY_LIMIT = frozenset({"QUEUE_FULL", "UNAVAILABLE", *(one.refuses for one in SETTINGS.values() if one.refuses)})
ACCEPTED = "accepted"
UNSEEN = BY_LIMIT | {LOST}


class IntakeRow(NamedTuple):
    """Sums of the intake table over some slots. `service` is '' where it was not known."""

    key_id: int
    key: str
    service: str
    reason: str
    requests: int
    items: int
    ahead_us: int = 0  # the most by which the clock of a sender was ahead


@dataclass(slots=True)
class Refusals:
    """Of one service. Items; 1 a request where their number is not known."""

    accepted_items: int = 0
    refused_items: int = 0
    lost_items: int = 0
    reason: str = ""
    key: str = ""
    ahead_s: float = 0.0  # the most by which the clock of a sender was ahead
    ahead_key: str = ""
    by: dict[tuple[str, str], int] = field(default_factory=dict)  # (reason, key) -> items

    def accept(self, row: IntakeRow) -> None:
        """Count accepted items, and keep the clock that is ahead most."""
        self.accepted_items += row.items
        if row.ahead_us / 1_000_000 > self.ahead_s:
            self.ahead_s, self.ahead_key = row.ahead_us / 1_000_000, row.key

    def refuse(self, reason: str, key: str, items: int) -> None:
        """Count refused items, and keep the reason and key that have most."""
        self.refused_items += items
        self.by[reason, key] = self.by.get((reason, key), 0) + items
        self.reason, self.key = max(self.by, key=lambda which: (self.by[which], which))


NONE = Refusals()


def refusals(rows: Iterable[IntakeRow], senders: Mapping[int, Iterable[str]]) -> dict[str, Refusals]:
    """By service. What was refused before its service was known counts for every service that its
    key sends (`senders`): any of them may be missing it, so no range is too narrow."""
    found: dict[str, Refusals] = {}
    for row in rows:
        if row.reason == ACCEPTED:
            if row.service:
                found.setdefault(row.service, Refusals()).accept(row)
        elif row.reason == LOST:
            found.setdefault(row.service, Refusals()).lost_items += row.items
        elif row.reason in BY_LIMIT:
            for service in [row.service] if row.service else senders.get(row.key_id, ()):
                found.setdefault(service, Refusals()).refuse(row.reason, row.key, max(row.items, row.requests))
    return found
