"""Which incident a signal belongs to, and the incident that one makes.

Those that may open one (`opens`) are as alerts that page: they make one, join one, and reopen one for a while. Others
join what is open on their service. What names no service is one trouble, as nobody can tell it apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from server.incidents.birth import Standing, place, related
from server.incidents.ending import captured, shares_of
from server.incidents.incident import CapturedChange, Incident, TimelineEntry
from server.kernel.names import is_drill
from server.kernel.urls import well_formed
from server.picture.picture import Picture
from server.signals.signal import Signal, WaitingSignal
from server.slo.model.budget_policy import BudgetPolicy

OPEN_MOST = 50  # incidents that signals have made and that are open: beyond these more would help nobody
NAMED = 3  # in one line
SEVERITY = 2  # how bad it is nobody has measured: in doubt the higher
TITLE_MAX = 200


class SignalArrival(Struct):
    """Signals of one service that are in no incident, the first that may open one before the others, and the incident
    that they belong to; None: a new one."""

    signals: list[WaitingSignal]
    incident: Incident | None

    @property
    def text(self) -> str:
        """`checkout: HighErr, SlowDb and 3 more`."""
        names = list(dict.fromkeys(one.name for one in self.signals))
        more = len(self.signals) - NAMED
        listed = ", ".join(names[:NAMED]) if more > 0 else ", ".join(names)
        listed = f"{listed} and {more:,} more" if more > 0 else listed
        service = self.signals[0].service
        return f"{service}: {listed}" if service else listed


def signal_arrivals(
    waiting: Iterable[WaitingSignal], standing: Sequence[Standing], policy: BudgetPolicy, now: float
) -> list[SignalArrival]:
    """What joins what; at most one new incident for services that belong together, as with alerts."""
    by_service: dict[str, list[WaitingSignal]] = {}
    for one in sorted(waiting, key=lambda one: (not one.opens, one.since, one.id)):
        by_service.setdefault(one.service, []).append(one)
    room = OPEN_MOST - sum(one.incident.open and one.incident.source == "signal" for one in standing)
    found: list[SignalArrival] = []
    new: list[set[str]] = []
    for service, signals in by_service.items():
        opens, incident = signals[0].opens, place(service, standing, policy, now)
        if incident is not None and (opens or incident.open):
            found.append(SignalArrival(signals, incident))
        elif opens and len(new) < room and not any(related(service, services, policy) for services in new):
            new.append({service})
            found.append(SignalArrival(signals, None))
    return found


def of_signal(first: Signal, picture: Picture, changes: list[CapturedChange], now: float) -> Incident:
    """The incident that a signal makes, suspected: its onset is what its sender says."""
    seen = captured(now, first.since, [], picture, changes)
    routes, versions = shares_of(first.service, picture)
    text = first.summary or first.name
    seen = replace(seen, onset_method="signal", text=text, routes=routes, versions=versions)
    title = f"{first.service}: {first.name}" if first.service else first.name
    return Incident(
        id=0,
        state="suspected",
        severity=SEVERITY,
        title=title[:TITLE_MAX],
        service=first.service,
        source="signal",
        onset=first.since,
        onset_method="signal",
        detected_at=now,
        captured=seen,
        drill=is_drill(first.service),
    )


def link_of(signal: Signal) -> str:
    """Where its sender shows it, where that is a link at all; ''."""
    return signal.link if well_formed(signal.link, ("https", "http")) else ""


def signal_lines(incident: Incident, arrival: SignalArrival, first: Signal, now: float) -> list[TimelineEntry]:
    """What a timeline says of signals that make an incident (which is in `arrival` as none), join or reopen one."""
    link = link_of(first)
    if arrival.incident is None:
        text = f"Suspected: SEV-{incident.severity} {arrival.text}."
        return [TimelineEntry(0, incident.id, now, "state", text, link=link)]
    said = [TimelineEntry(0, incident.id, now, "signal", f"Joined: {arrival.text}.", link=link)]
    if not arrival.incident.open:
        said.append(TimelineEntry(0, incident.id, now, "state", f"Reopened: {arrival.text}."))
    return said
