"""A ledger against a count one by one, with exclusions, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import psycopg

from server.kernel.db import Database
from server.slo.ledger import spans
from server.slo.ledger.exclusion import ExclusionAsked
from server.slo.ledger.spans import Split
from server.slo.ledger.windows import Windows, first_minute
from server.slo.model.counts import Counts
from server.slo.model.objective import Objective
from server.slo.policy import store as policy_store
from server.slo.policy.policies import Policies
from server.slo.policy.policy import parse
from tests.live.writing import Sample


class Sent(NamedTuple):
    """An outcome that was stored; `timed` False: nobody knows how long it took."""

    sample: Sample
    timed: bool = True


def covered(sample: Sample, exclusions: Iterable[ExclusionAsked]) -> bool:
    """Whether one of them takes the outcome out."""
    return any(
        each.service == sample.service
        and each.start.timestamp() // 60 * 60 <= sample.second < -(-each.stop.timestamp() // 60) * 60
        and each.route in ("", sample.route)
        and each.version in ("", sample.version)
        and each.method in ("", sample.method)
        for each in exclusions
    )


def brute(
    objective: Objective, sent: Iterable[Sent], start: float, stop: float, exclusions: Sequence[ExclusionAsked] = ()
) -> Split:
    """Count one by one."""
    found = Split()
    for sample, timed in sent:
        if sample.service != objective.service or not start <= sample.second < stop:
            continue
        if objective.threshold_us is None:
            one = Counts(not sample.bad, sample.bad)
        elif sample.bad or not timed:
            one = Counts(excluded=1)
        else:
            fast = sample.duration_us <= objective.threshold_us
            one = Counts(fast, not fast)
        out = covered(sample, exclusions)
        # What is neither good nor bad for an objective cannot be taken out of it.
        kept, left_out = (Counts(excluded=one.excluded), Counts(one.good, one.bad)) if out else (one, Counts())
        found = Split(found.counts.plus(kept), found.left_out.plus(left_out))
    return found


def ledger_rows(url: str, table: str, column: str) -> dict[tuple[int, int], Counts]:
    """A table of the ledger, by objective and Unix seconds; without rows of nothing."""
    excluded = "0" if table == "ledger_left_out" else "excluded"
    with psycopg.connect(url) as connection:
        found = connection.execute(
            f"SELECT objective_id, extract(epoch FROM {column})::bigint, good, bad, {excluded} FROM {table}".encode()
        )
        return {(row[0], row[1]): Counts(*row[2:]) for row in found if any(row[2:])}


async def adopt(db: Database, text: str) -> None:
    """Another process stores another policy."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    async with db.act() as connection:
        await policy_store.adopt(connection, text, digest, "test", parse(text).objectives)


async def check_windows(
    db: Database,
    objectives: tuple[Objective, ...],
    sent: Sequence[Sent],
    exclusions: Sequence[ExclusionAsked],
    now: float,
) -> None:
    """Over rolling windows and the month, with what is folded and what is not."""
    month = "2026-09"
    async with db.ask() as connection:
        rolling = await Windows((300, 3600, 86_400)).read(connection, objectives, now)
        monthly = await spans.read(connection, objectives, spans.month_span(month, now))
    end = int(now) - int(now) % 60 + 60  # a minute belongs to a window when it has begun
    start, stop = spans.months.bounds(month)
    for objective in objectives:
        read = rolling[objective.id]
        for window in read:
            expected = brute(objective, sent, first_minute(now, window), end, exclusions)
            assert (read[window], read.out(window)) == expected, (objective.name, window)
            assert read.counted(window) == expected.counted
        assert monthly[objective.id] == brute(objective, sent, start, min(stop, end), exclusions), objective.name


def check_rows(
    url: str, held: Policies, sent: Sequence[Sent], exclusions: Sequence[ExclusionAsked], only: Iterable[int]
) -> None:
    """Every row of the ledgers in `only`, once all is folded and recounted."""
    for table, column, span in (
        ("ledger_minutes", "minute", 60),
        ("ledger_hours", "hour", 3600),
        ("ledger_left_out", "minute", 60),
    ):
        expected = {}
        for objective in held.objectives:
            for start in {each.sample.second // span * span for each in sent}:
                split = brute(objective, sent, start, start + span, exclusions)
                counts = split.left_out if table == "ledger_left_out" else split.counted
                if any(counts):
                    expected[objective.id, start] = counts
        found = {key: counts for key, counts in ledger_rows(url, table, column).items() if key[0] in set(only)}
        assert found == expected, table
