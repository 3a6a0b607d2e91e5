"""An objective as it stands, and its page."""

from __future__ import annotations

import time
from html import unescape
from typing import Any

from server.slo.model.status import BurnWindow, ObjectiveStatus, State
from tests.dashboard.visitor import look
from tests.site import Site


def standing(name: str, state: State = "ok", of: str = "shop", **given: Any) -> ObjectiveStatus:
    """One objective as the watch would say, 60 % left."""
    usual: dict[str, Any] = {
        "budget_left": 0.6,
        "budget_worst": None,
        "budget_best": None,
        "exhausted_in_s": None,
        "windows": [BurnWindow(300, 0, 60, 0.0), BurnWindow(3600, 4, 6000, 0.67)],
    }
    return ObjectiveStatus(
        name=name,
        service=of,
        kind="availability",
        target=0.999,
        threshold_ms=None,
        window_days=28,
        state=state,
        good=99_960,
        bad=40,
        excluded=0,
        burn_5m=0.0,
        burn_1h=0.67,
        since=time.time() - 60,
        **(usual | given),
    )


async def seen(site: Site, path: str, cookie: str) -> str:
    answer = await look(site, path, cookie)
    assert answer.code == 200, answer.body
    return unescape(answer.body.decode()).replace("\u00a0", " ")
