"""What a sender says about one handled request, and its bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from server.tables.detail import Detail

DURATION_MAX_MS = 86_400_000.0  # a day
AHEAD_MAX_S = 300
WEIGHT_MAX = 100_000  # with the most outcomes of a flush, still a count of a delta
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Path = Annotated[str, Meta(min_length=1, max_length=500)]
Milliseconds = Annotated[float, Meta(ge=0, le=DURATION_MAX_MS)]
Stamp = (
    Annotated[datetime, Meta(tz=True)] | Annotated[int, Meta(ge=0, le=2**53)] | Annotated[float, Meta(ge=0, le=2**53)]
)


class Outcome(Detail[Name], gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """One outcome as sent. `timestamp` is RFC 3339 or epoch milliseconds; default: when it arrives."""

    service: Name
    route: Path
    method: Annotated[str, Meta(min_length=1, max_length=32)]
    status: Annotated[int, Meta(ge=100, le=599)]
    duration_ms: Milliseconds
    timestamp: Stamp | None = None
    version: Annotated[str, Meta(max_length=200)] | None = None
    request_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    error: bool | None = None  # overrides the status rule: 5xx is bad
    # How many requests it stands for: of a sample, or of a histogram's bucket.
    weight: Annotated[int, Meta(ge=1, le=WEIGHT_MAX)] = 1
    within_ms: tuple[Milliseconds, Milliseconds] | None = None  # all that is known: above the first, at most the second


class TakenSpan(Struct, frozen=True):
    """The times that are taken, in microseconds since 1970: [oldest, newest]; `now` for outcomes without one."""

    now: int
    oldest: int
    newest: int


def span(now_s: float, retention_days: int) -> TakenSpan:
    """What is taken at `now_s` Unix seconds: as old as the retention, at most 5 minutes ahead."""
    now = int(now_s * 1_000_000)
    return TakenSpan(now, now - retention_days * 86_400_000_000, now + AHEAD_MAX_S * 1_000_000)


def microseconds(stamp: datetime | float) -> int:
    """A timestamp as sent, in microseconds since 1970."""
    if isinstance(stamp, datetime):
        return (stamp - EPOCH) // MICROSECOND
    return int(stamp * 1000)


def time_fault(at: int, taken: TakenSpan) -> str | None:
    """Why a time is not taken; None where it is."""
    if at > taken.newest:
        return f"is more than {AHEAD_MAX_S // 60} minutes ahead of {iso(taken.now)}"
    if at < taken.oldest:
        seconds = " (numbers are milliseconds, not seconds)" if at * 1000 >= taken.oldest else ""
        return f"is older than what is kept, {iso(taken.oldest)}{seconds}"
    return None


def iso(at: int) -> str:
    """Microseconds since 1970 as RFC 3339, to the second."""
    return (EPOCH + timedelta(seconds=at // 1_000_000)).strftime("%Y-%m-%dT%H:%M:%SZ")
