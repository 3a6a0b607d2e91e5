"""Who is told of an alert, and when nobody is: while it waits, is explained or is silenced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from server.alerts.alert import ANEW, Alert, Beginning
from server.alerts.notice import NoticeEvent
from server.alerts.silence import Silence
from server.alerts.words import clock, failing, message, resolved
from server.slo.model.budget_policy import BudgetPolicy, dependencies

# An alert may fire a moment before that of the dependency which explains it: it waits for so long.
HOLD_S = 5.0
# Where that of the dependency is detected, and not told yet, it waits for so long at most.
AWAITED_HOLD_S = 60.0
# A ticket is in no hurry, and may turn out to be a page within seconds: that is one message then, not two.
TICKET_HOLD_S = 60.0

WORSE = "SEV-"  # how the news of a worse severity begins

# One that flaps is an outage once it has burnt for so long.
STAYS_S = 5 * 60.0

LEVELS = {None: 0, "ticket": 1, "page": 2}


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an alert's timeline; with `notice` it is also told, in the same words."""

    kind: str
    text: str
    notice: NoticeEvent | None = None
    alert: Alert | None = None  # as it stood then, where that is not how it stands after all that happened


def quieted(alert: Alert, suppressor: Alert | None, silence: Silence | None, events: list[Event]) -> Alert:
    """What keeps it quiet now, if anything."""
    by = suppressor.id if suppressor else None
    if suppressor is not None and alert.suppressed_by is None:
        events.append(Event("suppressed", f"Explained by alert {by} of {suppressor.service}, which it depends on."))
    elif by is None and alert.suppressed_by is not None:
        events.append(Event("unsuppressed", f"Alert {alert.suppressed_by} no longer explains it."))
    silence_id = silence.id if silence else None
    if silence is not None and alert.silence_id != silence_id:
        until = clock(silence.ends_at)
        events.append(Event("silenced", f"Silenced until {until} by {silence.author}: {silence.reason}"))
    elif silence is None and alert.silence_id is not None:
        events.append(Event("unsilenced", "The silence has ended."))
    if (by, silence_id) == (alert.suppressed_by, alert.silence_id):
        return alert
    return replace(alert, suppressed_by=by, silence_id=silence_id)


def tell(alert: Alert, news: str, hold_s: float, now: float, events: list[Event]) -> Alert:
    """Tell what is to be told: each urgency of a firing once, then what is new of it.

    Whoever has acknowledged it before anybody was told knows of it; unless it was a ticket then, and is a page.
    """
    if waits(alert, hold_s, now):
        if news:
            events.append(Event("update", f"{news}: {failing(alert)}."))
        return alert
    if stays(alert, news, now):
        alert = again(alert, now, events)
    if LEVELS[alert.urgency] > max(LEVELS[alert.told], LEVELS[alert.acknowledged_as]):
        events.append(Event("told", message(alert) + beside(alert), "trigger"))
        return replace(alert, told=alert.urgency, returned_at=None)
    if news:
        text, heard = f"{message(alert)} {news}.", alert.told is not None
        events.append(Event("update", text, "update" if heard else None))
    return alert


def stays(alert: Alert, news: str, now: float) -> bool:
    """Whether what is back, and flapped, is an outage that nobody has heard of: it lasts, or is worse than ever."""
    since = alert.returned_at
    if since is None or (alert.acknowledged_at is not None and alert.acknowledged_at >= since):
        return False
    return now - since >= STAYS_S or news.startswith(WORSE)


def again(alert: Alert, now: float, events: list[Event]) -> Alert:
    """Another firing of one that flaps: it is told, and asks to be acknowledged, as if it were new.

    The one before is told to be over: PagerDuty wakes nobody for an incident that is open still.
    """
    if alert.told is not None:
        before = replace(alert, state="resolved", resolved_at=alert.returned_at, recovery=None)
        events.append(Event("told", resolved(before, "It flaps, and is back."), "resolve", before))
    back_at, said = alert.returned_at or now, alert.evidence
    events.append(Event("fired", f"It flapped, and is back since {clock(back_at)}: {failing(alert)}."))
    found = said.onset is not None and said.onset_method == "change point" and said.onset >= (alert.over_at or 0)
    onset = min(said.onset, back_at) if found and said.onset is not None else back_at
    number = alert.beginning.number + 1
    return replace(
        alert,
        again=Beginning(number, onset, "change point" if found else "window", back_at),
        over_at=None,
        fired_at=now,
        fired_times=alert.fired_times + 1,
        told=None,
        **ANEW,
    )


def waits(alert: Alert, hold_s: float, now: float) -> bool:
    """Whether nobody is to be told just now."""
    if alert.state != "firing" or alert.suppressed_by is not None or alert.silence_id is not None:
        return True
    if alert.told is not None or alert.fired_at is None:
        return False
    if alert.recovery is not None:
        return True  # it is over by all that is seen: whoever was not told of it while it went on is not woken now
    return now - alert.fired_at < hold_s


def beside(alert: Alert) -> str:
    """What the first message of a firing says besides."""
    if alert.told is not None:
        return " It was a ticket and is a page now."
    if alert.returned_at is not None:
        return f" It flapped, and is back since {clock(alert.returned_at)}."
    if alert.flapping:
        return " It flaps: told again only if it is worse, or back for 5 min."
    return " It is back." if alert.fired_times > 1 else ""


@dataclass(frozen=True, slots=True)
class PagingAlerts:
    """The alerts that page and have not been resolved, by service."""

    explaining: dict[str, list[Alert]]
    coming: frozenset[str]  # services of which somebody may be told any moment

    @classmethod
    def of(cls, alerts: Iterable[Alert]) -> PagingAlerts:
        """What somebody knows of explains others; what is silenced neither does nor is about to."""
        explaining: dict[str, list[Alert]] = {}
        coming = set()
        for alert in alerts:
            if alert.urgency != "page":
                continue
            if alert.state != "pending" and known(alert):
                explaining.setdefault(alert.service, []).append(alert)
            elif alert.silence_id is None and alert.state in ("pending", "firing"):
                coming.add(alert.service)
        return cls(explaining, frozenset(coming))


def known(alert: Alert) -> bool:
    """Whether somebody knows of it as a page: told, acknowledged, or explained by one of which that holds."""
    return "page" in (alert.told, alert.acknowledged_as) or alert.suppressed_by is not None


def suppressor(policy: BudgetPolicy, paging: PagingAlerts, service: str) -> Alert | None:
    """The alert that explains those of a service; the oldest of several."""
    if not paging.explaining:
        return None
    found = [alert for name in dependencies(policy, service) for alert in paging.explaining.get(name, ())]
    return min(found, key=lambda alert: alert.id, default=None)


def awaited(policy: BudgetPolicy, paging: PagingAlerts, service: str) -> bool:
    """Whether an alert that may explain those of a service is coming."""
    return bool(paging.coming) and not paging.coming.isdisjoint(dependencies(policy, service))
