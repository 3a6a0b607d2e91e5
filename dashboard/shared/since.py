"""The counter that each act starts: what fails since, against before; in a thread, as many routes take long."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

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
    """One act, when it was (Unix seconds), and of what is counted since."""

    what: str
    at: float
    of: Asked


def since_asked(alert: Alert) -> Asked:
    """What is counted since an act on what the alert is of."""
    threshold_ms = alert.evidence.threshold_ms
    return alert.service, alert.beginning.onset, None if threshold_ms is None else round(threshold_ms * 1000)


async def read(parts: Parts, asked: Asked) -> SinceAct | None:
    """Since the newest act on the service after the onset; None where there is none of the last 10 minutes."""
    service, onset, _ = asked
    earliest = max(shared_clock.now() - SHOWN_S, onset + CAUSE_S)
    async with parts.db.ask() as connection:
        found = await store.recent(connection, earliest, service)
    act = next((one for one in found if one.kind in ACTS), None)
    return None if act is None else await count(parts, ActAsked(named(act), act.at.timestamp(), asked))


async def count(parts: Parts, asked: ActAsked) -> SinceAct:
    """Since one act."""
    service, onset, threshold_us = asked.of
    start = max(min(onset, asked.at), asked.at - BEFORE_S)
    async with parts.db.ask() as connection:
        counted = await act_store.route_counts(connection, service, start, asked.at, threshold_us)
    strata = [Stratum(*each) for each in counted]
    return await asyncio.to_thread(since_act, asked.what, asked.at, strata, shared_clock.now())


def named(act: Change) -> str:
    """`the rollback`, `revision 15`, `deploy 4e81b07`."""
    detail = act.detail if isinstance(act.detail, dict) else {}
    if detail.get("rolls_back") or detail.get("kind") == "rollback":
        return "the rollback"
    return f"{act.kind} {act.version}" if act.kind in ("deploy", "revision") else f"the {act.kind}"


SINCE = Memos(read, kept_s=5)
COUNTED = Memos(count, kept_s=5)  # of acts that are known
