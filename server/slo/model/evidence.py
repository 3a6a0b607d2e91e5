"""What one evaluation says of one objective: all that alerts are made from."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from server.slo.model.tiers import Urgency

# How the onset was found: the change point of the fast test, or the beginning of the tier's long window.
OnsetMethod = Literal["change point", "window"]


class Evidence(Struct):
    """One objective now. Times are Unix seconds, ratios and shares are of 1.

    `tier` is what holds, the most urgent first: a burn tier that pages such as `1h/5m`,
    `fast` (the test of server/slo/model/sequential.py), or a burn tier that makes a ticket;
    None: nothing burns.
    """

    objective: str
    service: str
    kind: Literal["availability", "latency"]
    target: float
    threshold_ms: float | None
    at: float
    known: bool  # False while blind or partial: then nothing is over
    tier: str | None
    urgency: Urgency | None  # of that tier
    due: bool  # whether it is enough to tell somebody: by the lower bound, the budget spent or the size
    onset: float | None
    onset_method: OnsetMethod | None
    bad: int  # since the onset
    total: int
    bad_ratio: float | None  # of the last minute with traffic while it burns: the impact
    spent: float  # of the whole budget, since the onset; as far back as is known by the second, else of the tier
    budget_left: float | None
    likely: str = ""  # version 5f2c1a9
    provisional: bool = False  # the objective is the default of a service nobody configured
