"""The counter that each act starts: what fails since, against before; in a thread, as many routes take long."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from dashboard.shared.memo import Memos
from server.alerts.alert import Alert
from server.changes import store
from server.changes.store import Change
from server.kernel import shared_clock
from server.live import act_store
from server.parts import Parts
from server.slo.model.comparison import Stratum
from server.slo.model.since_act import SinceAct, since_act

SHOWN_S = 600.0  # an act; from then on Changes has its verdict
BEFORE_S = 280.0  # what it is compared with at most: seconds are kept for 15 min
CAUSE_S = 30.0  # what comes so soon after the onset is its cause rather than an act on it: an onset is estimated
ACTS = ("deploy", "revision", "scale", "flag")

Asked = tuple[str, float, int | None]  # service, onset of what it burns with (Unix seconds, 0: none), threshold in us


class ActAsked(NamedTuple):
    """One act, when it took effect (Unix seconds), of what is counted since, and what came next: '' nothing yet."""

    what: str
    at: float
    of: Asked
    until: str = ""
    until_at: float = math.inf


def since_asked(alert: Alert) -> Asked:
    """What is counted since an act on what the alert is of."""
    threshold_ms = alert.evidence.threshold_ms
    return alert.service, alert.beginning.onset, None if threshold_ms is None else round(threshold_ms * 1000)


async def read(parts: Parts, asked: Asked) -> SinceAct | None:
    """Since the newest act on the service after the onset; None where there is none of the last 10 minutes."""
    service, onset, _ = asked
    now = shared_clock.now()
    async with parts.db.ask() as connection:
        found = await store.recent(connection, max(now - 2 * SHOWN_S, onset + CAUSE_S), service)
    acts = [(at, one) for one in found if one.kind in ACTS and (at := took_effect(one)) is not None]
    at, act = max(acts, key=lambda each: each[0], default=(0.0, None))
    return await count(parts, ActAsked(named(act), at, asked)) if act and at >= now - SHOWN_S else None


async def count(parts: Parts, asked: ActAsked) -> SinceAct:
    """Since one act."""
    service, onset, threshold_us = asked.of
    start = max(min(onset, asked.at), asked.at - BEFORE_S)
    async with parts.db.ask() as connection:
        counted = await act_store.route_counts(connection, service, start, asked.at, threshold_us, until=asked.until_at)
    strata = [Stratum(*each) for each in counted]
    return await asyncio.to_thread(since_act, asked.what, asked.at, strata, shared_clock.now(), asked.until)


def took_effect(act: Change) -> float | None:
    """When an act changed production, Unix seconds. What was asked for in an incident did when it was marked done or
    its receipt came, until then when it was pressed; None: it failed, or waits for somebody to type it."""
    detail = detail_of(act)
    if "incident" not in detail:
        return act.at.timestamp()
    if act.state == "failed" or (act.state == "started" and detail.get("by_hand")):
        return None
    return (act.finished or act.at).timestamp()


def since_known(act: Change, at: float, of: Asked, changes: Iterable[Change], onsets: Iterable[float]) -> ActAsked:
    """Since an act that took effect at `at`: against the outage before it, until the next change of its service or of
    the one that is counted. That what it went back to runs is told again, by a platform or by outcomes, is no other."""
    service, _, threshold_us = of
    asked = ActAsked(named(act), at, (service, max((one for one in onsets if one < at), default=0.0), threshold_us))
    others = (
        (after, one)
        for one in changes
        if one.kind in ACTS
        and one.service in (act.service, service)
        and not (one.kind == act.kind == "deploy" and one.version == act.version)
        and (after := took_effect(one)) is not None
        and after > at
    )
    after, coming = min(others, key=lambda each: each[0], default=(math.inf, None))
    return asked if coming is None else asked._replace(until=coming_named(coming), until_at=after)


def coming_named(act: Change) -> str:
    """`the rollback`, `revision 15`, `the deploy of 4e81b07`."""
    name = named(act)
    return f"the deploy of {act.version}" if name == f"deploy {act.version}" else name


def detail_of(act: Change) -> dict[str, Any]:
    return act.detail if isinstance(act.detail, dict) else {}


def named(act: Change) -> str:
    """`the rollback`, `revision 15`, `deploy 4e81b07`."""
    detail = detail_of(act)
    if detail.get("rolls_back") or detail.get("kind") == "rollback":
        return "the rollback"
    return f"{act.kind} {act.version}" if act.kind in ("deploy", "revision") else f"the {act.kind}"


SINCE = Memos(read, kept_s=5)
COUNTED = Memos(count, kept_s=5)  # of acts that are known
