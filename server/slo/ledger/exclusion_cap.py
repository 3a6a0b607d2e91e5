"""How much exclusions may take out: their union within any window of the longest objective is capped by policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

Span = tuple[int, int]  # whole minutes in Unix seconds, half-open
MINUTE_S = 60


class Use(NamedTuple):
    """One window, Unix seconds, and the seconds of it that are taken out without and with what is asked."""

    start: int
    stop: int
    used: int
    wanted: int

    @property
    def asked(self) -> int:
        """What is asked takes out so much more of it."""
        return self.wanted - self.used


def union(spans: Iterable[Span]) -> list[Span]:
    """The spans without overlaps, rising."""
    found: list[Span] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def within(spans: Iterable[Span], start: int, stop: int) -> int:
    """The seconds of [start, stop) that are in the spans, which do not overlap."""
    return sum(max(0, min(stop, last) - max(start, first)) for first, last in spans)


def most_used(others: Sequence[Span], asked: Span, window_s: int) -> Use:
    """The window of `window_s` that would have most taken out, of those that touch what is asked.

    What is in a window changes its slope only where a span begins at its start or ends
    at its end, so these and the outermost windows that still touch are all to look at.
    """
    before, after = union(others), union([*others, asked])
    starts = {first for first, _ in after} | {last - window_s for _, last in after}
    touching = {at for at in starts if at < asked[1] and at + window_s > asked[0]}
    touching |= {asked[1] - MINUTE_S, asked[0] - window_s + MINUTE_S}
    worst = max(sorted(touching), key=lambda at: within(after, at, at + window_s))
    stop = worst + window_s
    return Use(worst, stop, within(before, worst, stop), within(after, worst, stop))
