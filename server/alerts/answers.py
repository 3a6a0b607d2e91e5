"""What the API answers about alerts: the same, with times as RFC 3339."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from server.alerts.alert import Alert, AlertEvent, Outage
from server.alerts.silence import Silence
from server.alerts.silence_store import SILENCES
from server.alerts.store import ALERTS, EVENTS, PAST_OUTAGES, MeasureRow
from server.alerts.words import failing
from server.http.shown import answered, shows
from server.kernel.times import Instant


class EvidenceAnswer(Struct):
    """The last that said that something burns. `tier` is what held, `bad` of `total` since the onset, `bad_ratio` of
    the last minute with traffic, `spent` and `budget_left` shares of the whole budget."""

    at: Instant
    kind: Literal["availability", "latency"]
    target: float
    threshold_ms: float | None
    tier: str | None
    bad: int
    total: int
    bad_ratio: float | None
    spent: float
    budget_left: float | None
    likely: str
    provisional: bool


class RecoveryAnswer(Struct):
    """What came since a failure seems to have ended; `total` 0: not counted. Sure in so many seconds, as things go."""

    since: Instant
    bad: int
    total: int
    sure_in_s: float


@shows(PAST_OUTAGES, but=("alert_id", "service", "objective"))
class OutageAnswer(Struct):
    """One outage of an alert. `over_at` is when the failure seems to have ended, `resolved_at` when that was sure.

    Durations: from the onset to its detection, null where the onset is only the
    beginning of a `window`; from the notification to the acknowledgement; from the
    onset, or else the detection, to the end of the failure.
    """

    time_to_detect_s: float | None
    time_to_acknowledge_s: float | None
    time_to_resolve_s: float | None


@shows(ALERTS, but=("acknowledged_as", "firings", "tier_at", "calmed", "returned_at", "again"))
class AlertAnswer(Struct):
    """One alert. What comes back within 10 minutes is another of its `outages`: `onset` and `detected_at` are of the
    first and stay, all else is of the last.

    `told` is the highest urgency told of this firing, null where nobody was; `severity` is 1 to 3. `recovery`: what
    says that it is over, until that is sure. Durations as in an outage.
    """

    text: str  # 4.1 % of requests fail (objective 0.1 %)
    time_to_detect_s: float | None
    time_to_acknowledge_s: float | None
    time_to_resolve_s: float | None
    evidence: EvidenceAnswer
    recovery: RecoveryAnswer | None
    outages: list[OutageAnswer]  # oldest first


@shows(EVENTS, but=("alert_id",))
class EventAnswer(Struct):
    """One line of a timeline."""


class AlertDetail(Struct):
    """One alert and what became of it, oldest first."""

    alert: AlertAnswer
    events: list[EventAnswer]


class AlertsAnswer(Struct):
    """`next` is the `before` of the next page; null on the last."""

    alerts: list[AlertAnswer]
    next: int | None


class AcknowledgedAnswer(Struct):
    """`already`: somebody had done it before, and nothing was changed."""

    alert: AlertAnswer
    already: bool
    message: str


@shows(SILENCES)
class SilenceAnswer(Struct):
    """A silence; '' is any, and every one of `matchers` matches. `ended_at` is set where it was ended by hand."""

    service: str


class SilencesAnswer(Struct):
    """Those in force, the one that ends first first, and the newest that have ended."""

    active: list[SilenceAnswer]
    ended: list[SilenceAnswer]


class SilencedAnswer(Struct):
    """`already`: it was done before, and nothing was changed."""

    silence: SilenceAnswer
    already: bool
    message: str


class MeasuresAnswer(Struct):
    """Means in seconds over the outages of `days` that fired; null where there is none to take it of.

    From the onset to its detection, where the onset is estimated; from firing to the
    notification; from there to the acknowledgement, where there was one; from the onset,
    or else the detection, to the end of the failure.
    """

    days: int
    fired: int
    mean_time_to_detect_s: float | None
    mean_time_to_notify_s: float | None
    mean_time_to_acknowledge_s: float | None
    mean_time_to_resolve_s: float | None


def alert_answer(alert: Alert, outages: Sequence[Outage]) -> AlertAnswer:
    """One alert as the API tells it, with every outage of it."""
    shown = [outage_answer(outage) for outage in outages]
    last = shown[-1]
    return answered(
        alert,
        AlertAnswer,
        text=failing(alert),
        time_to_detect_s=last.time_to_detect_s,
        time_to_acknowledge_s=last.time_to_acknowledge_s,
        time_to_resolve_s=last.time_to_resolve_s,
        outages=shown,
    )


def outage_answer(outage: Outage) -> OutageAnswer:
    """One outage as the API tells it."""
    return answered(
        outage,
        OutageAnswer,
        time_to_detect_s=outage.time_to_detect_s,
        time_to_acknowledge_s=outage.time_to_acknowledge_s,
        time_to_resolve_s=outage.lasted_s,
    )


def detail_answer(alert: Alert, outages: Sequence[Outage], lines: Sequence[AlertEvent]) -> AlertDetail:
    """An alert with its timeline."""
    return AlertDetail(alert_answer(alert, outages), [answered(line, EventAnswer) for line in lines])


def silence_answer(one: Silence) -> SilenceAnswer:
    """One silence as the API tells it."""
    return answered(one, SilenceAnswer)


def measures_answer(row: MeasureRow, days: int) -> MeasuresAnswer:
    """The means."""
    return MeasuresAnswer(days, row.fired, row.detect_s, row.notify_s, row.acknowledge_s, row.resolve_s)
