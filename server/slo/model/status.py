"""How each objective stands, as published in the picture and answered by the API."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from server.slo.model.memory import Memory

# The words of UI.md's table; shape and colour belong to the pages.
State = Literal["ok", "at_risk", "burning", "blind", "partial", "no_traffic", "no_objective"]

# A tier whose windows both burn at its rate: it holds, or it does not because what burnt is over since the alarm
# ended, because there are too few failures to be sure, or because they may all be one client's.
Standing = Literal["holds", "over", "unsure", "one_client"]


class BurnWindow(Struct):
    """What one of the windows that decide has counted; `burn` None: no traffic."""

    window_s: int
    bad: int
    total: int
    burn: float | None


class ObjectiveStatus(Struct):
    """One objective now. Ratios from 0 to 1; a budget of 1 is untouched, below 0 is overspent."""

    name: str
    service: str
    kind: Literal["availability", "latency"]
    target: float  # 0.999
    threshold_ms: float | None
    window_days: int
    state: State
    good: int  # over the window
    bad: int
    excluded: int
    budget_left: float | None  # None: no traffic in the window
    budget_worst: float | None  # while blind or partial, the range [worst, best]
    budget_best: float | None
    burn_5m: float | None  # burn rate over the last 5 minutes; None: no traffic
    burn_1h: float | None
    exhausted_in_s: float | None  # at the burn rate of the last hour; None: not being used up
    since: float | None  # when this state began, Unix seconds
    windows: list[BurnWindow] = field(default_factory=list)  # shortest first
    decided_by: list[int] = field(default_factory=list)  # the windows whose burn rates hold, long first; else empty
    judged: bool = True  # False: too little traffic to judge the budget
    tier: str | None = None  # what holds: a burn tier such as 1h/5m, or fast
    onset: float | None = None  # the first bad second of what burns, estimated, Unix seconds
    suspicion: float = 0.0  # how near the fast test is to its alarm, 0 to 1
    provisional: bool = False  # the default of a service that nobody configured
    left_out_good: int = 0  # over the window: what exclusions take out, which is in none of the counts above
    left_out_bad: int = 0
    budget_left_counted: float | None = None  # as counted, with nothing excluded
    tiers: dict[str, Standing] = field(default_factory=dict)  # by name, those whose windows both burn at their rate
    recounting: bool = False  # the whole ledger is being counted anew: nothing above is known of its budget


class Status(Struct):
    """Every objective, and the state of every service (the worst of its objectives)."""

    policy_revision: int
    evaluated_at: float
    objectives: list[ObjectiveStatus]
    services: dict[str, State]
    memories: dict[str, Memory] = field(default_factory=dict)  # by objective, for the next watch
