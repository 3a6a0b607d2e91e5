"""A silence: what it matches is shown, and nobody is told; and what may be asked of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from msgspec import Struct

from server.alerts.matcher import KNOWN, Labels, Matcher, checked, written
from server.kernel.errors import invalid
from server.slo.model.objective import Objective


class Silence(Struct):
    """Times are Unix seconds; '' matches any service or objective; all `matchers` must match too. `ended_at` is set
    where it was ended by hand."""

    id: int
    service: str
    objective: str
    reason: str
    author: str
    created_at: float
    ends_at: float
    ended_at: float | None = None
    ended_by: str = ""
    matchers: list[Matcher] = []

    def matches(self, labels: Labels) -> bool:
        """Whether it keeps an alert of these labels quiet."""
        return meant(self.service, self.objective, self.matchers, labels)

    @property
    def what(self) -> str:
        """What it matches: `checkout-latency`, `checkout, severity="3"`."""
        names = self.objective or self.service
        return ", ".join(each for each in (names, written(self.matchers)) if each)


def meant(service: str, objective: str, matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Whether all of it matches an alert of these labels."""
    if service not in ("", labels["service"]) or objective not in ("", labels["objective"]):
        return False
    return all(one.matches(labels) for one in matchers)


def silencing(silences: Iterable[Silence], labels: Labels) -> Silence | None:
    """The one that keeps an alert quiet: of several, the one that lasts longest."""
    found = (silence for silence in silences if silence.matches(labels))
    return max(found, key=lambda silence: (silence.ends_at, silence.id), default=None)


MINUTES_MAX = 30 * 24 * 60
SHOWN = 10


def checked_minutes(minutes: int) -> int:
    """ApiError INVALID for what is not from 1 minute to 30 days."""
    if not 1 <= minutes <= MINUTES_MAX:
        raise invalid("minutes", f"give a whole number from 1 to {MINUTES_MAX}. Nothing was silenced.")
    return minutes


def checked_what(service: str, objective: str, matchers: Sequence[Matcher], objectives: Iterable[Objective]) -> None:
    """ApiError INVALID for what cannot be read, would silence everything, or nothing."""
    if not service and not objective and not matchers:
        reason = "name a service or an objective, or give matchers: all at once is not silenced. Nothing was done."
        raise invalid("service", reason)
    checked(matchers)
    held = tuple(objectives)
    checked_names(service, objective, held)
    if all(meant(service, objective, matchers, labels) for labels in every("\x00", "\x00")):
        raise invalid("matchers", "any alert at all matches: all at once is not silenced. Nothing was done.")
    alerts = (labels for one in held for labels in every(one.service, one.name, one.kind))
    if not any(meant(service, objective, matchers, labels) for labels in alerts):
        raise invalid("matchers", f"no alert of any of {len(held)} objectives can match. Nothing was silenced.")


def every(service: str, objective: str, *kinds: str) -> Iterable[Labels]:
    """The labels of every alert that an objective can have; of a kind, else of any."""
    for severity, urgency, kind in product(KNOWN["severity"], KNOWN["urgency"], kinds or KNOWN["kind"]):
        yield {"service": service, "objective": objective, "severity": severity, "urgency": urgency, "kind": kind}


def checked_names(service: str, objective: str, objectives: Sequence[Objective]) -> None:
    """ApiError INVALID for a name that nothing has."""
    known = [o for o in objectives if service in ("", o.service)]
    if service and not known:
        raise invalid("service", f"no objective is of {service[:200]}. Nothing was silenced.")
    if objective and all(o.name != objective for o in known):
        names = ", ".join(sorted(o.name for o in known)[:SHOWN])
        raise invalid("objective", f"there is no {objective[:200]} here; there are {names}. Nothing was silenced.")
