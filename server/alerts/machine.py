"""The states of an alert: ok (none), pending, firing, resolving, resolved.

Pure: one objective's alert, what is known now, and the time; out come the alert and
what happened. docs/alerts.md says the same for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from server.alerts import telling
from server.alerts.alert import ANEW, Alert, Beginning
from server.alerts.matcher import labels_of
from server.alerts.silence import Silence, silencing
from server.alerts.telling import Event
from server.alerts.words import failing, resolved, tier_words
from server.slo.model.budget_policy import BudgetPolicy, severity
from server.slo.model.memory import Recovery
from server.slo.model.status import Evidence, Slowness

RESOLVE_S = 60.0  # clear for so long before it is over
FLAPPING_RESOLVE_S = 15 * 60.0
REOPEN_S = 10 * 60.0  # what comes back sooner is the same alert
BLOCK_S = 60.0  # the fast test finds the end of a failure to so much
HOUR_S = 3600.0

# How another outage of an alert begins, beside what others write.
FRESH: dict[str, Any] = {
    "fired_at": None,
    "clear_since": None,
    "resolved_at": None,
    "flapping": False,
    "suppressed_by": None,
    "silence_id": None,
    "tier_at": None,
    "calmed": False,
    "returned_at": None,
    "over_at": None,
    "recovery": None,
}
FLAPPING = 3  # firings within an hour
TIER_S = 60.0  # a tier that is not the worse one is taken up no sooner: it may go again

GONE = "The objective is no longer in the policy."


@dataclass(frozen=True, slots=True)
class Context:
    """What else counts for one objective. `previous` is its last resolved alert, of the last hour."""

    policy: BudgetPolicy
    previous: Alert | None = None
    depends: bool = False  # whether its service depends on others
    awaited: bool = False  # whether the alert of one of them is coming
    suppressor: Alert | None = None
    silences: Sequence[Silence] = ()
    gone: bool = False  # whether the policy no longer has the objective


def step(
    alert: Alert | None, evidence: Evidence | None, context: Context, now: float
) -> tuple[Alert | None, list[Event]]:
    """One second of one objective. `alert` is its open alert; `evidence` None: it was not evaluated just now."""
    events: list[Event] = []
    if evidence is not None:
        evidence = since_last(evidence, context.previous)
    if alert is None:
        if evidence is None or evidence.tier is None or context.gone or left_over(evidence, context.previous, now):
            return None, events
        alert = begun(evidence, context, now, events)
    news = ""
    if context.gone:
        return ended(alert, GONE, now, events), events
    if evidence is not None and evidence.tier is not None and not eased(alert, evidence):
        alert, news = burning(alert, evidence, context, now, events)
    else:
        alert = clear(alert, evidence, now, events)
    if alert.state != "resolved":
        alert = telling.quieted(alert, context.suppressor, silencing(context.silences, labels_of(alert)), events)
        alert = telling.tell(alert, news, hold_s(alert, context), now, events)
    return alert, events


def begun(evidence: Evidence, context: Context, now: float, events: list[Event]) -> Alert:
    """A new alert, or the last one again."""
    last = context.previous
    assert evidence.tier is not None
    onset = min(now, evidence.at if evidence.onset is None else evidence.onset)
    new = Alert(
        id=0,
        objective=evidence.objective,
        service=evidence.service,
        state="pending",
        urgency=evidence.urgency or "ticket",
        tier=evidence.tier,
        severity=impact(context.policy, evidence),
        onset=onset,
        onset_method=evidence.onset_method or "window",
        detected_at=now,
        evidence=evidence,
        firings=last.firings if last else [],
    )
    if last is None or not back(last, new, now):
        events.append(Event("detected", f"Detected by {tier_words(new.tier)}: {failing(new)}."))
        return new
    again = Beginning(last.beginning.number + 1, onset, new.onset_method, now)
    events.append(Event("reopened", f"It is back, detected by {tier_words(new.tier)}: {failing(new)}."))
    return replace(
        last,
        state="pending",
        urgency=new.urgency,
        tier=new.tier,
        severity=new.severity,
        again=again,
        evidence=with_spent(evidence, last.evidence, 0.0 if evidence.onset == last.ended else last.evidence.spent),
        **FRESH,
        **ANEW,
    )


def back(last: Alert, new: Alert, now: float) -> bool:
    """Whether the last alert has come back soon. What makes a ticket after a page is not that outage again."""
    soon = last.resolved_at is not None and now - last.resolved_at <= REOPEN_S
    return soon and not (last.urgency == "page" and new.urgency == "ticket")


def since_last(evidence: Evidence, last: Alert | None) -> Evidence:
    """Evidence whose onset is not within the outage before: a window reaches back into it, and that one is told."""
    if last is None or last.ended is None or evidence.onset is None or evidence.onset >= last.ended:
        return evidence
    return replace(evidence, onset=last.ended)


def left_over(evidence: Evidence, last: Alert | None, now: float) -> bool:
    """Whether a slow tier burns on from a page that was over a moment ago: a ticket waits until that cannot be back."""
    if last is None or last.resolved_at is None or last.urgency != "page":
        return False
    return evidence.urgency == "ticket" and now - last.resolved_at <= REOPEN_S


def eased(alert: Alert, evidence: Evidence) -> bool:
    """Whether a page is over though a slow tier burns on, as it does for hours after an outage.

    Else the next outage in these hours would be the same firing, and would page nobody.
    """
    return alert.state in ("firing", "resolving") and alert.urgency == "page" and evidence.urgency == "ticket"


def burning(alert: Alert, evidence: Evidence, context: Context, now: float, events: list[Event]) -> tuple[Alert, str]:
    """It burns, or burns still; with what an open one has to say anew."""
    worst = min(alert.severity, impact(context.policy, evidence))
    before_it = alert.evidence
    new = another(alert, evidence)
    earlier = before_it.spent if new and alert.urgency == "page" else before_it.spent_before
    # A version that runs alone by now is as likely as when it was one of two.
    likely = evidence.likely or before_it.likely
    evidence = replace(evidence, likely=likely, slowness=slowness(before_it, evidence))
    evidence = with_spent(evidence, before_it, earlier)
    before, alert = alert, replace(alert, evidence=evidence, severity=worst, clear_since=None)
    alert = replace(alert, recovery=recovery_of(alert, evidence, RESOLVE_S))
    if new:
        return another_outage(alert, evidence, now, events), ""
    if not alert.calmed and alert.returned_at is None:  # else it is when the outage before ended
        alert = replace(alert, over_at=seems_over(alert, evidence))
    if alert.state == "pending":
        alert = pending(alert, evidence)
        return (fired(alert, now, events) if evidence.due else alert), ""
    alert = replace(alert, state="firing")  # back while resolving: the same alert, and nobody is told again
    if alert.calmed:
        alert = replace(alert, calmed=False, returned_at=now)  # it may be an outage: see telling.stays
    if not alert.estimated:
        alert = dated(alert, evidence)  # the fast test may know better since when than a window did
    news = f"{telling.WORSE}{before.severity} -> SEV-{worst}" if worst < before.severity else ""
    raised = evidence.due and evidence.urgency == "page" and alert.urgency == "ticket"
    assert evidence.tier is not None
    if raised or (evidence.tier != alert.tier and now - (alert.tier_at or 0) >= TIER_S):
        news = news or f"{tier_words(alert.tier)} -> {tier_words(evidence.tier)}"
        alert = replace(alert, tier=evidence.tier, tier_at=now, urgency="page" if raised else alert.urgency)
    return alert, news


def seems_over(alert: Alert, evidence: Evidence) -> float | None:
    """When what fires seems to have ended, though a tier still looks back into it; None: it goes on."""
    if alert.recovery is not None:
        return max(alert.began, alert.recovery.since)
    return None if evidence.onset_method == "change point" else alert.over_at


def another(alert: Alert, evidence: Evidence) -> bool:
    """Whether what burns is another outage while the alert still fires, held by a window that looks back.

    It is where the fast test found that it began after a ticket was found, or a minute after the last one had ended.
    What flaps is for `telling.stays` to judge.
    """
    pages = evidence.due and evidence.urgency == "page" and evidence.onset_method == "change point"
    found = evidence.onset if pages else None
    if found is None or alert.state not in ("firing", "resolving") or found <= alert.beginning.detected_at:
        return False
    ended_before = alert.over_at is not None and found - alert.over_at >= RESOLVE_S
    return alert.urgency == "ticket" or (ended_before and not alert.flapping)


def another_outage(alert: Alert, evidence: Evidence, now: float, events: list[Event]) -> Alert:
    """The next outage of an alert that fires, told anew; a page that somebody was told of is told to be over first."""
    assert evidence.onset is not None
    assert evidence.tier is not None
    if alert.told == "page":
        before = replace(alert, state="resolved", resolved_at=now, recovery=None)
        events.append(Event("told", resolved(before, "Another outage began."), "resolve", before))
    again = Beginning(alert.beginning.number + 1, evidence.onset, "change point", now)
    begun_again = replace(alert, again=again, tier=evidence.tier, urgency="page", **FRESH, **ANEW)
    events.append(Event("reopened", f"It is back, detected by {tier_words(evidence.tier)}: {failing(begun_again)}."))
    return fired(begun_again, now, events)


def with_spent(evidence: Evidence, before: Evidence, earlier: float) -> Evidence:
    """Evidence with what all outages of its alert have spent: it only grows. `earlier` was spent before this one, which
    counts beside it since its onset; a window may reach back into it."""
    beside = earlier if evidence.onset_method == "change point" else 0.0
    return replace(evidence, spent=max(before.spent, evidence.spent + beside), spent_before=earlier)


def slowness(before: Evidence, now: Evidence) -> Slowness | None:
    """How slow it is, with what was known first of how it was before."""
    if now.slowness is None or before.slowness is None or before.slowness.before_ms is None:
        return now.slowness
    return replace(now.slowness, before_ms=before.slowness.before_ms)


def pending(alert: Alert, evidence: Evidence) -> Alert:
    """Nobody has been told of it: it is what the newest evidence says, since when too, unless it is back."""
    assert evidence.tier is not None
    return dated(replace(alert, tier=evidence.tier, urgency=evidence.urgency or alert.urgency), evidence)


def dated(alert: Alert, evidence: Evidence) -> Alert:
    """With the onset that the evidence has."""
    if evidence.onset is None or evidence.onset_method is None:
        return alert
    if evidence.onset_method == "window" and (alert.estimated or alert.state != "pending"):
        return alert  # no better than what is known
    if evidence.onset > alert.beginning.detected_at:
        return alert  # not that of what was detected
    if alert.again is None:
        return replace(alert, onset=evidence.onset, onset_method=evidence.onset_method)
    return replace(alert, again=replace(alert.again, onset=evidence.onset, onset_method=evidence.onset_method))


def fired(alert: Alert, now: float, events: list[Event]) -> Alert:
    """It is enough to tell somebody."""
    firings = [at for at in alert.firings if at > now - HOUR_S] + [now]
    flapping = len(firings) >= FLAPPING
    events.append(Event("fired", f"Firing by {tier_words(alert.tier)}: {failing(alert)}."))
    if flapping:
        minutes = f"{FLAPPING_RESOLVE_S / 60:.0f} min"
        events.append(Event("flapping", f"Fired {len(firings)} times within an hour: open until {minutes} clear."))
    return replace(
        alert,
        state="firing",
        fired_at=now,
        fired_times=alert.fired_times + 1,
        firings=firings,
        flapping=flapping,
        told=None,
        tier_at=now,
    )


def clear(alert: Alert, evidence: Evidence | None, now: float, events: list[Event]) -> Alert:
    """Nothing burns. It is over once that has held; while that is not known nothing is over, and it begins anew."""
    if evidence is None or not evidence.known:
        return replace(alert, clear_since=None, recovery=None)
    since = now if alert.clear_since is None else alert.clear_since
    fires = alert.state != "pending"
    hold_s = FLAPPING_RESOLVE_S if fires and alert.flapping else RESOLVE_S
    recovery = recovery_of(alert, evidence, hold_s - (now - since)) or Recovery(since, 0, 0, hold_s - (now - since))
    if alert.over_at is None or alert.returned_at is not None:
        alert = replace(alert, over_at=max(alert.began, recovery.since))
    alert = replace(alert, recovery=recovery)
    if fires and alert.flapping and now - since >= RESOLVE_S:
        alert = replace(alert, calmed=True, returned_at=None)
    if now - since >= hold_s:
        if fires and alert.flapping:
            alert = replace(alert, firings=[])  # it flaps no more: what comes is an outage like any other
        left = (
            f"Nothing pages any more, {tier_words(evidence.tier)} goes on."
            if evidence.tier
            else f"Clear for {hold_s:.0f} s."
        )
        return ended(alert, left, now, events)
    return replace(alert, clear_since=since, state="resolving" if fires else "pending")


def recovery_of(alert: Alert, evidence: Evidence, hold_s: float) -> Recovery | None:
    """What says that the last outage is over, sure once the state has been held for so long; None: it does not say."""
    found = evidence.recovery
    if found is None or found.since + BLOCK_S < alert.beginning.detected_at:
        return None  # of an outage before
    return replace(found, sure_in_s=found.sure_in_s + hold_s)


def ended(alert: Alert, why: str, now: float, events: list[Event]) -> Alert:
    """It is over; who was told of it is told so."""
    fires = alert.state != "pending"
    alert = replace(alert, state="resolved", resolved_at=now, recovery=None)
    known = fires and alert.told is not None
    text = resolved(alert, why) if fires else f"It went without firing. {why}"
    events.append(Event("resolved", text, "resolve" if known else None))
    return alert


def hold_s(alert: Alert, context: Context) -> float:
    """How long nobody is told of a firing, in case that something else is told instead."""
    if alert.urgency == "ticket":
        return telling.TICKET_HOLD_S
    if context.awaited:
        return telling.AWAITED_HOLD_S
    return telling.HOLD_S if context.depends else 0.0


def impact(policy: BudgetPolicy, evidence: Evidence) -> int:
    """The severity, from how much is bad; where nothing is known of that, the least."""
    return severity(policy, evidence.impact)
