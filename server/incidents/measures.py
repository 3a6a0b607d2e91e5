"""How long incidents take, by severity and month, and what is to be done so that they do not come back.

What was declined, merged or a drill is in no measure. Times are Unix seconds, lengths seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import quantiles

from msgspec import Struct

from server.incidents.incident import CauseClass, Incident, IncidentOnset, PreventiveAction
from server.slo.ledger.months import name_of

QUARTER_S = 90 * 86_400.0


class MeasuredIncident(Struct):
    """What the measures need of an incident."""

    id: int
    severity: int
    onset: float
    onset_method: IncidentOnset
    detected_at: float
    declared_at: float | None
    mitigated_at: float | None
    over_at: float | None
    resolved_at: float | None


class IncidentTimes(Struct):
    """From the onset to its detection, to when a person declared it, to when the first mitigation took effect, to
    the end of the failure; None: not so far, or not known, as where it was declared by hand and nobody has told the
    onset."""

    detect: float | None
    acknowledge: float | None
    mitigate: float | None
    recover: float | None


class Spread(Struct):
    """The middle of `n` lengths and the quartiles around it, in seconds; null where there is none."""

    n: int
    median_s: float | None = None
    first_quartile_s: float | None = None
    third_quartile_s: float | None = None


class Measures(Struct):
    """The incidents of one severity, detected in one UTC month (`2026-11`); of the last 90 days where it is empty."""

    month: str
    severity: int
    incidents: int
    time_to_detect: Spread
    time_to_acknowledge: Spread
    time_to_mitigate: Spread
    time_to_recover: Spread

    @property
    def times(self) -> tuple[tuple[str, Spread], ...]:
        """Each by its name."""
        return (
            ("detect", self.time_to_detect),
            ("acknowledge", self.time_to_acknowledge),
            ("mitigate", self.time_to_mitigate),
            ("recover", self.time_to_recover),
        )


class CauseSpent(Struct):
    """What the incidents of a cause class spent over the last 90 days, in whole budgets of objectives."""

    cause_class: CauseClass
    incidents: int
    spent: float


class BacklogAction(Struct):
    """A preventive action with what it is of."""

    action: PreventiveAction
    title: str  # of the incident
    service: str
    severity: int
    cause_class: CauseClass


def times_of(one: MeasuredIncident | Incident) -> IncidentTimes:
    """The times of one incident, by the onset that is believed now."""

    def since(at: float | None) -> float | None:
        return None if at is None else max(0.0, at - one.onset)

    unknown = untold(one)
    return IncidentTimes(
        None if unknown or one.onset_method == "window" else since(one.detected_at),
        None if unknown else since(one.declared_at),
        since(one.mitigated_at),
        since(one.over_at) if one.resolved_at is not None else None,
    )


def untold(one: MeasuredIncident | Incident) -> bool:
    """Whether it was declared by hand, and nobody has told since when it fails."""
    return one.onset_method == "person" and one.onset == one.detected_at


def spread(values: Iterable[float | None]) -> Spread:
    """The spread of those that are known."""
    known = [value for value in values if value is not None]
    if not known:
        return Spread(0)
    low, middle, high = quantiles(known, n=4, method="inclusive") if len(known) > 1 else known * 3
    return Spread(len(known), middle, low, high)


def by_month(incidents: Iterable[MeasuredIncident]) -> list[Measures]:
    """A row a month and severity, the newest month and the worst severity first."""
    found: dict[tuple[str, int], list[MeasuredIncident]] = {}
    for one in incidents:
        found.setdefault((name_of(one.detected_at), one.severity), []).append(one)
    keys = sorted(found, key=lambda key: key[1])
    keys.sort(key=lambda key: key[0], reverse=True)
    return [measures_of(month, severity, found[month, severity]) for month, severity in keys]


def of_quarter(incidents: Sequence[MeasuredIncident], now: float) -> list[Measures]:
    """A row a severity of those detected in the 90 days before `now`, the worst first."""
    lately = [one for one in incidents if one.detected_at >= now - QUARTER_S]
    return [
        measures_of("", severity, [one for one in lately if one.severity == severity])
        for severity in sorted({one.severity for one in lately})
    ]


def measures_of(month: str, severity: int, incidents: Sequence[MeasuredIncident]) -> Measures:
    """The spread of each time of some incidents."""
    times = [times_of(one) for one in incidents]
    return Measures(
        month,
        severity,
        len(incidents),
        spread(one.detect for one in times),
        spread(one.acknowledge for one in times),
        spread(one.mitigate for one in times),
        spread(one.recover for one in times),
    )


def backlog(actions: Iterable[BacklogAction], causes: Iterable[CauseSpent], now: float) -> list[BacklogAction]:
    """What is overdue first, then by what their cause class has spent, their priority, and when they are due; what is
    done last, the newest first."""
    spent: Mapping[CauseClass, float] = {one.cause_class: one.spent for one in causes}

    def place(one: BacklogAction) -> tuple[float, ...]:
        action = one.action
        if action.done_at is not None:
            return (2, -action.done_at)
        late = action.due_at < now
        return (0 if late else 1, -spent.get(one.cause_class, 0.0), action.priority, action.due_at, action.id)

    return sorted(actions, key=place)
