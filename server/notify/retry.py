"""When a notification is tried again, and when it is given up."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

FIRST_S = 2.0
LONGEST_S = 60.0  # a target that is back is found within a minute
RETRY_AFTER_MAX_S = 600.0  # what a target may ask for
GIVE_UP_S = 24 * 3600.0
REFUSED_S = 600.0

HEALS = frozenset({408, 425, 429})  # 4xx that another try may heal
PASSES = frozenset({401, 403, 404})  # an ingress answers so for its service while that is deployed


def delay_s(attempt: int, random: float, retry_after_s: float | None = None) -> float:
    """Seconds until the try after `attempt` (1 is the first): doubling, of which the upper half is by chance.

    `random` is from 0 to 1: targets that failed together are not tried together.
    What the target asked for is the least, within bounds.
    """
    longest = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt - 1, 20))
    wait_s = longest * (0.5 + random / 2)
    if retry_after_s is None:
        return wait_s
    return max(wait_s, min(retry_after_s, RETRY_AFTER_MAX_S))


def retry_after_s(header: str | None, now: float) -> float | None:
    """The header Retry-After, seconds or an HTTP date, as seconds from `now`; None where it says nothing."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now)


def patience_s(status: int) -> float:
    """How long a target may go on answering like this; a 4xx says that the request itself is wrong."""
    if status in PASSES:
        return REFUSED_S
    return GIVE_UP_S if not 400 <= status < 500 or status in HEALS else 0.0


def goes_on(patience_s: float, age_s: float, refused_s: float) -> bool:
    """Whether it is tried again. What a target refused before it was down is a new refusal when it is back."""
    return age_s < GIVE_UP_S and (patience_s == GIVE_UP_S or refused_s < patience_s)
