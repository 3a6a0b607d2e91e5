"""A silence: what it matches is shown, and nobody is told."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


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
