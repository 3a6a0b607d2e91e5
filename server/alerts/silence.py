"""A silence: what it matches is shown, and nobody is told; and what may be asked of one."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from server.kernel.errors import invalid
from server.slo.model.objective import Objective


class Silence(Struct):
    """Times are Unix seconds; '' matches any service or objective. `ended_at` is set where it was ended by hand."""

    id: int
    service: str
    objective: str
    reason: str
    author: str
    created_at: float
    ends_at: float
    ended_at: float | None = None
    ended_by: str = ""

    def matches(self, service: str, objective: str) -> bool:
        """Whether it keeps an alert of the objective quiet."""
        return self.service in ("", service) and self.objective in ("", objective)


def silencing(silences: Iterable[Silence], service: str, objective: str) -> Silence | None:
    """The one that keeps an objective quiet: of several, the one that lasts longest."""
    found = (silence for silence in silences if silence.matches(service, objective))
    return max(found, key=lambda silence: (silence.ends_at, silence.id), default=None)


MINUTES_MAX = 30 * 24 * 60
SHOWN = 10


def checked_minutes(minutes: int) -> int:
    """ApiError INVALID for what is not from 1 minute to 30 days."""
    if not 1 <= minutes <= MINUTES_MAX:
        raise invalid("minutes", f"give a whole number from 1 to {MINUTES_MAX}. Nothing was silenced.")
    return minutes


def checked_matcher(service: str, objective: str, objectives: Iterable[Objective]) -> None:
    """ApiError INVALID for a matcher that would silence everything, or nothing for want of such a name."""
    if not service and not objective:
        raise invalid("service", "name a service, an objective or both: all at once is not silenced. Nothing was done.")
    known = [o for o in objectives if service in ("", o.service)]
    if not known:
        raise invalid("service", f"no objective is of {service[:200]}. Nothing was silenced.")
    if objective and all(o.name != objective for o in known):
        names = ", ".join(sorted(o.name for o in known)[:SHOWN])
        raise invalid("objective", f"there is no {objective[:200]} here; there are {names}. Nothing was silenced.")
