"""The counter that each act starts: what fails since, against before; in a thread, as many routes take long."""

from __future__ import annotations

import asyncio

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


def since_asked(alert: Alert) -> Asked:
    """What is counted since an act on what the alert is of."""
    threshold_ms = alert.evidence.threshold_ms
    return alert.service, alert.beginning.onset, None if threshold_ms is None else round(threshold_ms * 1000)


async def read(parts: Parts, asked: Asked) -> SinceAct | None:
    """Since the newest act on the service after the onset; None where there is none of the last 10 minutes."""
    service, onset, threshold_us = asked
    now = shared_clock.now()
    async with parts.db.ask() as connection:
        found = await store.recent(connection, max(now - SHOWN_S, onset + CAUSE_S), service)
        act = next((one for one in found if one.kind in ACTS), None)
        if act is None:
            return None
        at = act.at.timestamp()
        start = max(onset, at - BEFORE_S)
        counted = await act_store.route_counts(connection, service, start, at, threshold_us)
    return await asyncio.to_thread(since_act, named(act), at, [Stratum(*each) for each in counted], now)


def named(act: Change) -> str:
    """`the rollback`, `revision 15`, `deploy 4e81b07`."""
    detail = act.detail if isinstance(act.detail, dict) else {}
    if detail.get("rolls_back") or detail.get("kind") == "rollback":
        return "the rollback"
    return f"{act.kind} {act.version}" if act.kind in ("deploy", "revision") else f"the {act.kind}"


SINCE = Memos(read, kept_s=5)
