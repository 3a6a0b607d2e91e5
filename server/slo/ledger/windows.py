"""The counts of objectives over windows: the ledger, and what was committed after it.

A window of `w` seconds ends now and begins at a whole minute, at most one minute
early; beyond 28 days at a whole hour. The window of a
calendar began when its period did. The ledger is read every few seconds, together with the writers' cursors of
the same snapshot; what each writer committed after its cursor is read each time.
So every delta counts once: it is in the ledger of that snapshot, or after it.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from server.slo.ledger import ledger_store as store
from server.slo.model.counts import NOTHING, Counts, Tally
from server.slo.model.objective import Objective

MINUTE_S = 60
HOUR_S = 3600
MINUTES_S = (store.MINUTES_KEPT_DAYS - 1) * 86_400
BY_MINUTE_S = 28 * 86_400  # the ledger's minutes are kept for 35 days, its hours for 400
REREAD_S = 5.0
REREAD_SHARE = 20  # reading a part of the ledger takes at most a twentieth of the time, however long it is
LATEST_S = 30.0  # then a part is read whatever else there is to read
PART = 100  # objectives: some tens of milliseconds


class ByWindow(dict[int, Counts]):
    """Window in seconds -> the counts of the budget. What exclusions take out is not in them, but in `left_out`.

    `late` is the part of them that came too late to say anything of now, or was imported.
    """

    __slots__ = ("late", "left_out")

    def __init__(
        self,
        kept: Mapping[int, Counts],
        left_out: Mapping[int, Counts] | None = None,
        late: Mapping[int, Counts] | None = None,
    ) -> None:
        super().__init__(kept)
        self.left_out: dict[int, Counts] = dict(left_out or {})
        self.late: dict[int, Counts] = dict(late or {})

    def in_time(self) -> dict[int, Counts]:
        """What came in time, by window: only that may burn, and wake somebody."""
        if not self.late:
            return self
        return {window: counts.without(self.late.get(window, NOTHING)) for window, counts in self.items()}

    def out(self, window: int) -> Counts:
        """What exclusions take out of a window."""
        return self.left_out.get(window, NOTHING)

    def counted(self, window: int) -> Counts:
        """A window as counted, with nothing taken out."""
        return self[window].plus(self.out(window))


@dataclass(frozen=True, slots=True)
class Base:
    """The ledger of some objectives as of one snapshot."""

    objectives: tuple[Objective, ...]
    at: float
    keep_s: float
    cursors: store.Cursors
    exclusions: store.Exclusions  # of their services
    counts: Mapping[int, ByWindow]  # by objective id
    starts: Mapping[int, Mapping[int, int]]  # by objective id: window -> its first minute, Unix seconds

    @property
    def services(self) -> frozenset[str]:
        return frozenset(objective.service for objective in self.objectives)


class LedgerWindows:
    """The counts of each objective over `spans` seconds and over its own window.

    With many objectives the ledger is read in parts, one each time, so that no time takes long.
    """

    def __init__(self, spans: Sequence[int]) -> None:
        self.spans = tuple(spans)
        self.bases: dict[int, Base] = {}
        self.exclusions: store.Exclusions = {}
        self.fresh: store.Fresh = {}  # what was committed after the bases, when it was read last

    def forget(self, objectives: Collection[int]) -> None:
        """Read the ledgers of these numbers anew: they were made anew."""
        self.bases = {
            number: base
            for number, base in self.bases.items()
            if not any(objective.id in objectives for objective in base.objectives)
        }

    async def read(
        self, connection: AsyncConnection, objectives: tuple[Objective, ...], now: float
    ) -> dict[int, ByWindow]:
        """The counts by objective id and window; `connection` holds one snapshot, `now` is in Unix seconds."""
        asked, exclusions = parts(objectives), await store.exclusions(connection)
        self.exclusions = exclusions
        self.bases = {number: base for number, base in self.bases.items() if number in asked}
        for number in stale(self.bases, asked, exclusions, now):
            self.bases[number] = await read_base(connection, asked[number], self.spans, now, exclusions)
        bases = list(self.bases.values())
        self.fresh = await store.after(connection, [(base.cursors, base.services) for base in bases])
        return self.counts(objectives, now)

    def counts(self, objectives: tuple[Objective, ...], now: float) -> dict[int, ByWindow]:
        """The same from what was read last."""
        news = by_service(self.fresh, now)
        bases = self.bases.values()
        found = {o.id: with_news(o, base, news.get(o.service, ())) for base in bases for o in base.objectives}
        return {objective.id: found[objective.id] for objective in objectives}

    def lasts(self, objectives: tuple[Objective, ...], now: float, unchanged_since: float) -> bool:
        """Whether what was read last can be used where nothing was counted since then: all of the ledger was read after
        that, and no window begins at another minute."""
        asked = parts(objectives)
        return asked.keys() == self.bases.keys() and all(
            serves(base, asked[number], self.exclusions, now)
            and unchanged_since < base.at
            and (now - base.at < base.keep_s or first_minute(now, 0) == first_minute(base.at, 0))
            for number, base in self.bases.items()
        )


def parts(objectives: Sequence[Objective]) -> dict[int, tuple[Objective, ...]]:
    """The objectives in parts of about PART; a service is always in the same one, as long as they are as many."""
    many = -(-len(objectives) // PART)
    found: dict[int, list[Objective]] = {}
    for objective in objectives:
        found.setdefault(zlib.crc32(objective.service.encode()) % many, []).append(objective)
    return {number: tuple(each) for number, each in found.items()}


def stale(
    bases: Mapping[int, Base],
    asked: Mapping[int, tuple[Objective, ...]],
    exclusions: store.Exclusions,
    now: float,
) -> list[int]:
    """The parts to read anew: all that cannot be used any more, and the oldest of those that only grew old."""
    useless = [
        n for n, objectives in asked.items() if n not in bases or not serves(bases[n], objectives, exclusions, now)
    ]
    old = [n for n in asked if n not in useless and now - bases[n].at >= bases[n].keep_s]
    return useless + sorted(old, key=lambda number: bases[number].at)[:1]


def serves(base: Base, objectives: tuple[Objective, ...], exclusions: store.Exclusions, now: float) -> bool:
    """Whether what was read of the ledger can still be used."""
    unchanged = base.objectives == objectives and base.exclusions == of_services(exclusions, base.services)
    same_period = all(one.begins(now) == one.begins(base.at) for one in objectives if one.calendar is not None)
    return unchanged and same_period and 0 <= now - base.at < max(LATEST_S, 2 * base.keep_s)


def of_services(exclusions: store.Exclusions, services: Collection[str]) -> store.Exclusions:
    """The exclusions of some services."""
    return {service: state for service, state in exclusions.items() if service in services}


async def read_base(
    connection: AsyncConnection,
    objectives: tuple[Objective, ...],
    spans: Sequence[int],
    now: float,
    exclusions: store.Exclusions,
) -> Base:
    """Read the ledger over every window that is asked for."""
    began = time.monotonic()
    common, end = {span: first_minute(now, span) for span in spans}, int(now) + 1
    starts = {one.id: common | {one.window_key: first_of(one, now)} for one in objectives}
    by_start: dict[int, set[int]] = {}
    for number, windows in starts.items():
        for start in windows.values():
            by_start.setdefault(start, set()).add(number)
    sums = {start: await store.sums(connection, sorted(ids), start, end) for start, ids in by_start.items()}
    out = await store.left_out(connection, list(starts), by_start, end)
    late = await store.late(connection, list(starts), by_start, end)
    counts = {
        number: split({w: sums[start].get(number, NOTHING) for w, start in its.items()}, its, number, out, late)
        for number, its in starts.items()
    }
    cursors = await store.cursors(connection)
    keep_s = max(REREAD_S, REREAD_SHARE * (time.monotonic() - began))
    theirs = of_services(exclusions, {objective.service for objective in objectives})
    return Base(objectives, now, keep_s, cursors, theirs, counts, starts)


def split(
    sums: Mapping[int, Counts],
    starts: Mapping[int, int],
    objective_id: int,
    out: Mapping[tuple[int, int], Counts],
    late: Mapping[tuple[int, int], Counts],
) -> ByWindow:
    """The ledger's sums, what exclusions take out and what came late apart."""
    parts = {window: out.get((objective_id, starts[window]), NOTHING) for window in sums}
    came_late = {window: late[objective_id, start] for window, start in starts.items() if (objective_id, start) in late}
    return ByWindow({window: counts.without(parts[window]) for window, counts in sums.items()}, parts, came_late)


def first_minute(now: float, window_s: int) -> int:
    """The whole minute in which a window that ends now begins; beyond 28 days the whole hour."""
    start = int(now) - window_s
    return start - start % (HOUR_S if window_s > BY_MINUTE_S else MINUTE_S)


def first_of(objective: Objective, now: float) -> int:
    """The same of an objective's own window: of a calendar's it is when the period began; where minutes are not kept
    as far back, its whole hour."""
    return whole(objective, objective.begins(now), now)


def first_before(objective: Objective, end: float, now: float) -> int:
    """The same of the window that ends at a time."""
    return whole(objective, objective.begins_before(end), now)


def whole(objective: Objective, start: int, now: float) -> int:
    """The whole minute or hour in which a window of an objective begins."""
    if objective.calendar is None:
        return start - start % (HOUR_S if objective.window_s > BY_MINUTE_S else MINUTE_S)
    return start if start >= now - MINUTES_S else start - start % HOUR_S


News = tuple[int, bool, bool, Tally]  # the minute, whether an exclusion covers it, whether it came late, the counts


def by_service(fresh: store.Fresh, now: float) -> dict[str, list[News]]:
    """By service, what is not in the ledger yet; without minutes that lie ahead."""
    found: dict[str, list[News]] = {}
    for (service, minute, left_out, late), tally in fresh.items():
        if minute <= now:
            found.setdefault(service, []).append((minute, left_out, late, tally))
    return found


def with_news(objective: Objective, base: Base, news: Sequence[News]) -> ByWindow:
    """The ledger's counts with each fresh minute added to the windows that it is in."""
    if not news:
        return base.counts[objective.id]
    kept = base.counts[objective.id]
    total = ByWindow(kept, kept.left_out, kept.late)
    for minute, left_out, late, tally in news:
        counts = tally.counts(objective)
        into: list[dict[int, Counts]] = [total.left_out] if left_out else [total, total.late] if late else [total]
        for window in total:
            if minute >= base.starts[objective.id][window]:
                for part in into:
                    part[window] = part.get(window, NOTHING).plus(counts)
    return total
