"""Requests per second by version, from 15 minutes before the onset, as SVG that needs no script."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct

from dashboard.now.burn_chart import WIDTH, path, y_of
from dashboard.now.sparkline import scale_top
from dashboard.shared.format import number
from dashboard.shared.memo import Memos
from server.incidents.incident import Incident
from server.incidents.suspect_answer import SuspectsAnswer
from server.kernel import shared_clock
from server.kernel.names import OTHER
from server.live import questions
from server.live.answers import VersionCounts
from server.parts import Parts

BEFORE_S = 15 * 60
LEAST_S, AFTER_S = 60, 5 * 60
FINE_S = 890  # kept by the second: a young incident is not told by the minute for a little more of the time before
POINTS = 180
SHOWN = 5  # versions with most requests; the rest is one line


class VersionLine(Struct):
    """One version's line. `per_second` is that of the last step; `look` is how it is drawn, of no two alike."""

    name: str
    path: str
    per_second: str
    suspect: bool
    look: str


class VersionChart(Struct):
    """What the template draws; `onset_x` in per cent of the width, as `over_x`, the right edge while it goes on."""

    top: str
    start: float
    end: float
    onset_x: float
    lines: list[VersionLine]
    over_x: float = 100.0


async def read_versions(parts: Parts, asked: tuple[str, int, int]) -> VersionCounts:
    """From before the onset to 5 minutes after the end; 0: it goes on."""
    service, onset, over = asked
    now = shared_clock.now()
    end = min(now, over + AFTER_S) if over else now
    start = max(onset - BEFORE_S, min(onset - LEAST_S, now - FINE_S))
    async with parts.db.ask() as connection:
        step = max(5, int(end - start) // POINTS)
        return await questions.by_version(connection, service, start, end, step_s=step, now=now)


VERSIONS = Memos(read_versions, kept_s=3)


async def versions_of(parts: Parts, incident: Incident, suspects: SuspectsAnswer | None) -> VersionChart | None:
    """Who serves the requests, with the version that is suspected; None: not known."""
    if not incident.service:
        return None
    read = await VERSIONS.get(parts, (incident.service, int(incident.onset), int(incident.over_at or 0)))
    first = suspects.causes[0].suspects[0].values if suspects and suspects.causes else {}
    return None if read is None else version_chart(read, incident.onset, first.get("version", ""), incident.over_at)


def version_chart(read: VersionCounts, onset: float, suspect: str, over: float | None = None) -> VersionChart | None:
    """The chart of what was counted by version; None: nothing was. Before its first request a version has no line."""

    def x_of(at: float) -> float:
        return round(min(max((at - read.start) / (read.stop - read.start), 0.0), 1.0) * 100, 1)

    shown = together(read.counts)
    steps = range(read.start, read.stop - read.step + 1, read.step)
    if not shown or not steps:
        return None
    rates = {name: [counts.get(at, 0) / read.step for at in steps] for name, counts in shown.items()}
    top = scale_top([value for values in rates.values() for value in values], None)
    others = [name for name in rates if not suspect or name != suspect]
    looks = {name: f"other dash-{place}" for place, name in enumerate(others)}
    lines = [line_of(name, values, top, looks.get(name, "over")) for name, values in rates.items()]
    return VersionChart(
        number(top), read.start, read.stop, x_of(onset), lines, 100.0 if over is None else x_of(max(over, onset))
    )


def line_of(name: str, values: Sequence[float], top: float, look: str) -> VersionLine:
    """A version's line, from its first request on."""
    first = next((place for place, value in enumerate(values) if value), 0)
    every = max(1, len(values) - 1)
    points = [
        (round(place / every * WIDTH, 1), None if place < first else y_of(value, top))
        for place, value in enumerate(values)
    ]
    return VersionLine(name, path(points), number(values[-1]), look == "over", look)


def together(counts: Mapping[str, Mapping[int, int]]) -> dict[str, Mapping[int, int]]:
    """The versions with most requests, and all others as one."""
    ranked = sorted(counts, key=lambda name: (name == OTHER, -sum(counts[name].values()), name))
    shown: dict[str, Mapping[int, int]] = {name: counts[name] for name in ranked[:SHOWN]}
    rest: dict[int, int] = defaultdict(int)
    for name in ranked[SHOWN:]:
        for at, n in counts[name].items():
            rest[at] += n
    return shown | {OTHER: rest} if rest else shown
