"""How long a request took, as access logs print it: units by name, lists of upstreams, times with their unit."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_US = 86_400_000_000  # a day
UNITS = {
    "ns": 0.001, "us": 1, "µs": 1, "μs": 1, "usec": 1, "usecs": 1, "micros": 1, "ms": 1000, "msec": 1000,
    "msecs": 1000, "millis": 1000, "s": 1_000_000, "sec": 1_000_000, "secs": 1_000_000, "seconds": 1_000_000,
}  # fmt: skip
UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
NUMBER = re.compile(r"(\d{1,15}(?:\.\d{1,20})?)")
WITH_UNIT = re.compile(rf"(?:(\d{{1,4}})h)?(?:(\d{{1,4}})m)?(\d{{1,15}}(?:\.\d{{1,20}})?) ?({UNIT})")
STAGES = re.compile(r"-?\d+(?:\.\d+)?(?: -?\d+(?:\.\d+)?){2}")  # of AWS: -1 where it did not come so far
LIST = re.compile(r", ?| : ")

# Fields that say by their name what they are and in which unit; of several, the first one here is taken.
NAMES = (
    ("s", ("rt", "request_time", "req_time", "reqtime")),
    ("us", ("usT", "D", "us", "request_time_us", "duration_us", "latency_us", "elapsed_us", "response_time_us")),
    (
        "ms",
        (
            "msT", "msecT", "M", "ms", "request_time_ms", "duration_ms", "latency_ms", "elapsed_ms",
            "response_time_ms", "responseTime", "response-time", "time_ms", "took_ms", "durationMs", "latencyMs",
            "elapsedMs", "responseTimeMs", "time_taken_ms",
        ),
    ),
    ("ns", ("duration_ns", "latency_ns", "elapsed_ns")),
    (
        "s",
        (
            "T", "sT", "duration_s", "latency_s", "elapsed_s", "duration_seconds", "request_time_s",
            "response_time_s", "durationSeconds",
        ),
    ),
    # Of what stands behind the server: the request took longer, so only where nothing else is there.
    ("s", ("urt", "upstream_response_time", "upstream_time")),
)  # fmt: skip
UNIT_OF = {name: unit for unit, names in NAMES for name in names}
BY_RANK = tuple(UNIT_OF)
SECONDS_BESIDE = ("T", "sT")  # whole seconds, which say whether D is microseconds or, as in Tomcat 9, milliseconds
# These say a time, but not in which unit: taken where the value has one, or --unit.
UNITLESS = frozenset({
    "duration", "latency", "elapsed", "took", "time", "response_time", "time_taken", "time-taken", "t", "service",
    "dur", "responsetime", "latency_human", "total", "Duration",
})  # fmt: skip


@lru_cache(maxsize=8192)
def taken_us(text: str, unit: str | None) -> int | None:
    """Microseconds, or None where the text says none: `-`, `-1`, a word. A list is the sum of its times.

    A unit in the text goes before `unit`; with neither, None.
    """
    if STAGES.fullmatch(text):
        return None if "-" in text else bounded(sum(taken_us(part, unit) or 0 for part in text.split()))
    if "," in text or " : " in text:
        parts = [taken_us(part, unit) for part in LIST.split(text)]
        known = [part for part in parts if part is not None]
        return bounded(sum(known)) if known else None
    itself = WITH_UNIT.fullmatch(text)
    if itself:
        minutes = int(itself[1] or 0) * 60 + int(itself[2] or 0)
        return bounded(minutes * 60_000_000 + float(itself[3]) * UNITS[itself[4]])
    found = NUMBER.fullmatch(text)
    if found is None or unit is None:
        return None
    return bounded(float(found[1]) * UNITS[unit])


def bounded(micros: float) -> int | None:
    """Whole microseconds; what is longer than a day is a number of something else."""
    return int(micros + 0.5) if micros <= MAX_US else None
