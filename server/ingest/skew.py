"""Senders whose clock runs ahead: what they stamp is taken as of when it arrives.

An outcome cannot arrive before it happened, so the newest stamp of a request bounds from below how far the
clock of its sender is ahead. Senders gather for some seconds, so the most that was seen lately is nearer.
A clock that is behind cannot be told from outcomes that are late.
"""

from __future__ import annotations

from typing import NamedTuple

US = 1_000_000
TOLERATED_US = 1 * US  # such a stamp waits for its second
GATHERED_US = 10 * US
KEPT_US = 60 * US
SENDERS_MAX = 10_000


class SendingMachine(NamedTuple):
    """As far as it can be told apart: several behind one proxy are one."""

    key_id: int
    address: str


class Skews:
    """What this process has seen of the clocks of senders. Times are microseconds since 1970."""

    def __init__(self) -> None:
        self._seen: dict[SendingMachine, tuple[int, int]] = {}  # by how much ahead, and when that was seen

    def ahead_us(self, sender: SendingMachine, newest: int, now: int) -> int:
        """By how much the clock of the sender of a request is ahead, whose newest stamp this is; 0: it is not."""
        lead = newest - now
        if lead <= TOLERATED_US:
            return 0
        most, at = self._seen.get(sender, (0, 0))
        if now - at < KEPT_US and lead <= most <= lead + GATHERED_US:
            return most
        if len(self._seen) >= SENDERS_MAX:
            self._seen.clear()
        self._seen[sender] = (lead, now)
        return lead
