"""No sender has changed the unit of its durations: seconds, milliseconds and microseconds are a thousand apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from checks import store
from checks.check import Check, Surroundings, warn
from checks.store import DurationBucket
from server.kernel.text import ms
from server.live.sketch import quantile_us
from server.selfcheck.findings import Finding

# An outage or a time-out moves some of the durations, another unit all of them by the same factor.
QUANTILES = (0.1, 0.5, 0.9)
LEAST, MOST = 400.0, 2500.0  # about a thousand times
ENOUGH = 100  # outcomes


async def run(around: Surroundings) -> list[Finding]:
    """Each version's durations of the last 15 minutes against its service's of the hours before."""
    async with around.database.ask() as connection:
        return judged(await store.durations(connection))


def judged(rows: Iterable[DurationBucket]) -> list[Finding]:
    """Findings from sketches."""
    before: dict[str, dict[int, int]] = {}
    now: dict[tuple[str, str], dict[int, int]] = {}
    for row in rows:
        sketch = before.setdefault(row.service, {}) if row.before else now.setdefault((row.service, row.version), {})
        sketch[row.bucket] = sketch.get(row.bucket, 0) + row.n
    found = []
    for (service, version), sketch in sorted(now.items()):
        factor = factor_of(sketch, before.get(service, {}))
        if factor is not None:
            found.append(changed(service, version, factor, sketch, before[service]))
    return found


def factor_of(now: Mapping[int, int], before: Mapping[int, int]) -> float | None:
    """How many times as long as before, where that is about a thousand or a thousandth; else None."""
    if min(sum(now.values()), sum(before.values())) < ENOUGH:
        return None
    factors = []
    for q in QUANTILES:
        new, old = quantile_us(now, q), quantile_us(before, q)
        if not new or not old:
            return None
        factors.append(new / old)
    longer = all(LEAST <= factor <= MOST for factor in factors)
    shorter = all(LEAST <= 1 / factor <= MOST for factor in factors)
    return factors[1] if longer or shorter else None


def changed(service: str, version: str, factor: float, now: Mapping[int, int], before: Mapping[int, int]) -> Finding:
    """The finding, with both medians."""
    new, old = (ms((quantile_us(sketch, 0.5) or 0) / 1000) for sketch in (now, before))
    times = f"{factor:,.0f} times" if factor > 1 else f"a {1 / factor:,.0f}th of"
    sender = f"version {version} of {service}" if version else service
    hint = "duration_ms is in milliseconds: look at what this sender divides or multiplies by a thousand."
    return warn(f"Half of the durations of {sender} are {new} or less, {times} what they were ({old}).", hint, service)


CHECK = Check("duration_units", "Durations keep their unit", "database", run, 300, 20)
