"""A signal, and the rules of what is concluded from what another system says. Times are Unix seconds.

What is told to have ended has *ended*. What its group does not hold any more is *absent*: it is over, or muted, or
inhibited, and nobody says which. What is not repeated for long is *not heard of*: nothing is known. Only the first is
an end that was measured. Alertmanager's ways that this is for: docs/connect/alertmanager.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from server.receivers.alertmanager import ToldGroup, ToldSignal
from server.slo.model.budget_policy import SignalPolicy

SERVICE_MAX = 200  # characters, as of an outcome
SignalState = Literal["firing", "ended", "absent"]
SignalStanding = Literal["firing", "ended", "absent", "not heard of"]


class Signal(Struct):
    """One alert of another system, from when it began to fire until it did not. What fires again is another one.

    `starts_at` is as told; `opens`: it may open an incident, others join one; `over_at`: since when it has ended or is
    absent.
    """

    id: int
    sender: str
    fingerprint: str
    group_key: str
    name: str
    service: str
    severity: str
    opens: bool
    labels: dict[str, str]
    summary: str
    link: str
    state: SignalState
    starts_at: float
    first_heard_at: float
    heard_at: float
    over_at: float | None = None
    incident_id: int | None = None
    joined_at: float | None = None

    @property
    def since(self) -> float:
        """When it began, as far as it can be true: a clock of the sender may be ahead."""
        return min(self.starts_at, self.first_heard_at)

    def standing(self, now: float, policy: SignalPolicy) -> SignalStanding:
        """How it stands at `now`."""
        unheard = self.state == "firing" and now - self.heard_at > policy.not_heard_hours * 3600
        return "not heard of" if unheard else self.state


class WaitingSignal(Struct):
    """A signal that fires and is in no incident, as far as it matters to which it belongs."""

    id: int
    name: str
    service: str
    severity: str
    opens: bool
    since: float


class SignalTally(Struct, frozen=True):
    """How the signals of an incident stand: `total` are all, the others those that may open one, which say whether
    it is over. `ended_at` is the last end that was told, `quiet_since` when the last one ended or became absent,
    and `begun_at` when the last of those that fire was heard first."""

    total: int = 0
    firing: int = 0
    not_heard: int = 0
    absent: int = 0
    ended: int = 0
    ended_at: float | None = None
    quiet_since: float | None = None
    begun_at: float | None = None

    @property
    def says(self) -> bool:
        """Whether they say anything of its end."""
        return self.firing + self.not_heard + self.absent + self.ended > 0

    @property
    def measured(self) -> bool:
        """Whether the end of each was told."""
        return self.ended > 0 and self.firing + self.not_heard + self.absent == 0


class SignalSender(Struct, frozen=True):
    """Who tells, by the name of the key, and of which services it may."""

    name: str
    may_touch: Callable[[str], bool] = lambda service: True


def within_reach(
    told: ToldGroup, known: Iterable[Signal], sender: SignalSender, policy: SignalPolicy
) -> tuple[ToldGroup, list[Signal]]:
    """What of a group its sender may tell, and of what is known what it may change. Another key of its name may be of
    more services: what fires of those is neither ended by this one's silence nor taken by its labels."""
    known = list(known)
    others = {one.fingerprint for one in known if not sender.may_touch(one.service)}
    mine = [
        one
        for one in told.signals
        if one.fingerprint not in others and sender.may_touch(service_of(one.labels, policy))
    ]
    return ToldGroup(told.key, told.whole, mine), [one for one in known if one.fingerprint not in others]


def heard(known: Iterable[Signal], told: ToldGroup, sender: str, policy: SignalPolicy, now: float) -> list[Signal]:
    """What a group that is told at `now` changes: new ones, with the id 0, and those of `known` that are different.

    `known` are the sender's of these fingerprints, and those that fire in the group.
    """
    firing = {one.fingerprint: one for one in known if one.state == "firing"}
    newest = {(one.fingerprint, one.starts_at): one for one in sorted(known, key=lambda one: one.id)}
    changed: dict[int, Signal] = {}
    new: list[Signal] = []
    for one in told.signals:
        last = newest.get((one.fingerprint, one.starts_at))
        fires = firing.get(one.fingerprint)
        if one.firing and fires is not None and one.starts_at <= fires.starts_at:
            # An earlier start: another Prometheus saw it first.
            changed[fires.id] = again(fires, one, told, policy, now)
        elif one.firing:
            new.append(begun(one, told, sender, policy, now))
        elif fires is not None and one.starts_at < fires.starts_at <= (one.ended_at or 0.0):
            # As above, and not told before its end. What ended before this one began would end before it.
            changed[fires.id] = ended(replace(fires, starts_at=one.starts_at), one, now)
        elif last is None:
            new.append(ended(begun(one, told, sender, policy, now), one, now))
        elif last.state != "ended":
            changed[last.id] = ended(last, one, now)
    gone = [replace(each, state="absent", over_at=now) for each in missing(firing.values(), told)]
    return [each for each in gone if each.id not in changed] + list(changed.values()) + new


def missing(firing: Iterable[Signal], told: ToldGroup) -> list[Signal]:
    """Those that fire for all we know, and not for who tells: a fingerprint has one start at a time.

    An end before its start came late and says nothing; of a group that is not told whole neither does silence.
    """
    latest: dict[str, float] = {}
    for one in told.signals:
        latest[one.fingerprint] = max(one.starts_at, latest.get(one.fingerprint, one.starts_at))
    found = []
    for each in firing:
        start = latest.get(each.fingerprint)
        silent = start is None and told.whole and each.group_key == told.key
        if silent or (start is not None and start > each.starts_at):
            found.append(each)
    return found


def begun(one: ToldSignal, told: ToldGroup, sender: str, policy: SignalPolicy, now: float) -> Signal:
    """A signal that was not known."""
    blank = Signal(
        0, sender, one.fingerprint, told.key, "", "", "", False, {}, "", "", "firing", one.starts_at, now, now
    )
    return again(blank, one, told, policy, now)


def again(known: Signal, one: ToldSignal, told: ToldGroup, policy: SignalPolicy, now: float) -> Signal:
    """A signal that is told once more: annotations, and what the policy makes of it, may be others by now."""
    severity = one.labels.get("severity", "")
    return replace(
        known,
        group_key=told.key,
        name=one.labels.get("alertname") or one.fingerprint,
        service=service_of(one.labels, policy),
        severity=severity,
        opens=severity.lower() in policy.opens,
        labels=one.labels,
        summary=one.summary,
        link=one.link,
        starts_at=one.starts_at,
        heard_at=now,
    )


def ended(known: Signal, one: ToldSignal, now: float) -> Signal:
    """A signal whose end is told; at the latest now, and never before it began."""
    at = now if one.ended_at is None else min(one.ended_at, now)
    return replace(known, state="ended", heard_at=now, over_at=max(at, known.since))


def service_of(labels: dict[str, str], policy: SignalPolicy) -> str:
    """The service that a signal names; '' where it names none."""
    return next((labels[name][:SERVICE_MAX] for name in policy.service_labels if labels.get(name)), "")
