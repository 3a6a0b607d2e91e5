"""Times at the edge of the API: RFC 3339 in UTC outside, Unix seconds inside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from server.kernel.errors import invalid
from server.kernel.field_fault import RFC_3339

# A time in an answer; with a zone, or OpenAPI would not call it a date-time.
Instant = Annotated[datetime, Meta(tz=True)]
# A time in a query. Parsed by `instant`: msgspec would take bare numbers too.
InstantText = Annotated[str, Meta(min_length=1, extra_json_schema={"format": "date-time"})]


FIRST_YEAR, LAST_YEAR = 1970, 9998


def utc(seconds: float) -> datetime:
    """Unix seconds as an answer tells them: msgspec writes a UTC datetime as RFC 3339 with Z."""
    return datetime.fromtimestamp(seconds, UTC)


def instant(field: str, text: str) -> datetime:
    """RFC 3339 with its zone, in UTC; ApiError 422 naming the field."""
    try:
        when = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped + arrives as a space
        if when.tzinfo is None:
            raise ValueError("no zone")
        when = when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(field, f"is {RFC_3339}") from None
    if not FIRST_YEAR <= when.year <= LAST_YEAR:  # a little before or after would be no time that can be told
        raise invalid(field, f"lies before {FIRST_YEAR} or after {LAST_YEAR}")
    return when
