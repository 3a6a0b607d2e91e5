"""Verdicts on changes: a deploy by its version, what is no version by the time before and after; within routes.

The time before and after is compared where nothing else was changed in it. Policies, exclusions and overrides alter
nothing that fails, and have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from server.changes.verdict import ChangeVerdict
from server.live import change_store
from server.live.change_store import ChangeCount
from server.slo.judge.versions import by_route, verdict_of
from server.slo.model.comparison import compare


async def read_verdicts(connection: AsyncConnection, changes: Sequence[int], now: float) -> dict[int, ChangeVerdict]:
    """By the ids of the changes; of what cannot be compared none."""
    return change_verdicts(await change_store.change_counts(connection, changes, now)) if changes else {}


def change_verdicts(rows: Iterable[ChangeCount]) -> dict[int, ChangeVerdict]:
    """By change."""
    by_change: dict[int, list[ChangeCount]] = {}
    for row in rows:
        by_change.setdefault(row.change, []).append(row)
    found = {change: verdict_on(each) for change, each in by_change.items()}
    return {change: verdict for change, verdict in found.items() if verdict is not None}


def verdict_on(rows: Sequence[ChangeCount]) -> ChangeVerdict | None:
    """The verdict on one change; None where no route was served before and since."""
    found = of_version(rows) if rows[0].kind == "deploy" else of_time(rows)
    return found if found is not None and found.n and found.other_n else None


def of_version(rows: Sequence[ChangeCount]) -> ChangeVerdict | None:
    """The version that a deploy brought against the one before it."""
    counts = [row.counted for row in rows]
    since = [each for each in counts if each.version != each.newest or each.slot >= 0]  # it may have run before
    one = verdict_of(since, rows[0].stop) if since else None
    if one is None:
        return None
    text = f"{one.bad:,} of {one.n:,} fail since, {one.other_bad:,} of {one.other_n:,} "
    text += f"of {one.other or 'the others'} beside it" if one.beside else "before"
    return ChangeVerdict(one.other, one.beside, one.finding, one.bad, one.n, one.other_bad, one.other_n, one.p, text)


def of_time(rows: Sequence[ChangeCount]) -> ChangeVerdict:
    """What was since against what was before."""
    counts = [row.counted for row in rows]
    since, before = [each for each in counts if each.slot >= 0], [each for each in counts if each.slot < 0]
    one = compare(by_route(since, before))
    text = f"{one.bad:,} of {one.n:,} fail since, {one.other_bad:,} of {one.other_n:,} before"
    return ChangeVerdict("", False, one.finding, one.bad, one.n, one.other_bad, one.other_n, one.p, text)
