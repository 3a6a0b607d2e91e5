"""Whether an incident is over: alerts resolved, and clean for long enough on enough traffic.

After failures with the ratio p, n good requests in a row would come with the chance (1 - p) ** n if nothing had been
mended. So that this is at most 5 %, n is at least ln 0.05 / ln(1 - p): 74 for 4 %.
"""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from server.kernel.text import plural, span
from server.signals.signal import SignalTally

CLEAN_S = 180.0
CHANCE = 0.05
# What is waited for: nothing, alerts or signals that are still open, a clean time, traffic, or sight of the service.
Waits = Literal["nothing", "alerts", "signals", "time", "traffic", "sight"]


class Proof(Struct):
    """What says that the failure is over. `bad` of `total` since `since`, Unix seconds; None: it still goes on.
    `needed` requests, of which the ratio bad may be `allowed`. `signals` is what signals say, where they decide.
    `open_alerts` that seem over and are not resolved yet."""

    waits: Waits
    since: float | None = None
    bad: int = 0
    total: int = 0
    needed: int = 0
    left_s: float = 0.0  # of the clean time
    signals: str = ""
    open_alerts: int = 0

    @property
    def given(self) -> bool:
        """Whether it may be resolved without a reason."""
        return self.waits == "nothing"

    @property
    def text(self) -> str:
        """`1 min 12 s of 3 min clean, 31 of 74 good requests.`"""
        if self.signals:
            return self.signals
        good = self.total - self.bad
        counts = f"{min(good, self.needed):,} of {self.needed:,} good requests"
        clean = f"{span(CLEAN_S - self.left_s)} of {span(CLEAN_S)} clean, {counts}"
        if self.waits == "alerts":
            open_yet = plural(self.open_alerts, "alert is", "alerts are") + " not resolved yet"
            holds = (
                open_yet if self.open_alerts else f"{self.bad:,} of {self.total:,} fail, more than the objective allows"
            )
            return "Alerts still fire." if self.since is None else f"{clean}; {holds}."
        if self.waits == "sight" and self.since is None:
            return "No alert says when it is over: give a reason."
        if self.waits == "sight":
            return f"No data: the service is silent or its senders are refused. {counts} so far."
        if self.waits in ("time", "traffic"):
            return f"{clean}." if self.waits == "time" else f"Waiting for traffic: {counts}."
        return f"Clean for {span(CLEAN_S)} on at least {plural(self.total, 'request')}, {self.bad:,} bad."


def needed_requests(failed_ratio: float) -> int:
    """Good requests after which a failure of this ratio (0 to 1) would still be unseen with a chance of 5 % at most."""
    if failed_ratio <= 0:
        return 0
    if failed_ratio >= 1:
        return 1
    return math.ceil(math.log(CHANCE) / math.log1p(-failed_ratio))


class Ending(Struct):
    """What live data says of the services of an incident. `over_at` None: an alert still burns. `ratio` is how much
    failed at worst; `allowed` what the objective tolerates. `signals` are of other systems; `alerts`: it has any."""

    open_alerts: int
    over_at: float | None
    ratio: float
    allowed: float
    bad: int
    total: int
    sighted: bool  # no service is blind or partial
    signals: SignalTally = SignalTally()
    alerts: bool = True


def proof(seen: Ending, now: float) -> Proof:
    """How far the proof is at `now`, Unix seconds.

    Requests prove more than signals, whose word is all there is without an alert; but while one fires it is not over.
    """
    if seen.signals.firing or (seen.signals.says and not seen.alerts):
        return by_signals(seen.signals, now)
    needed = needed_requests(seen.ratio)
    if seen.over_at is None:
        return Proof("alerts" if seen.sighted else "sight", needed=needed)
    left_s = max(0.0, CLEAN_S - (now - seen.over_at))
    so_far = Proof("nothing", seen.over_at, seen.bad, seen.total, needed, left_s, open_alerts=seen.open_alerts)
    if not seen.sighted:
        so_far.waits = "sight"
    elif seen.open_alerts or seen.bad > seen.allowed * seen.total:
        so_far.waits = "alerts"
    elif left_s > 0:
        so_far.waits = "time"
    elif seen.total - seen.bad < needed:
        so_far.waits = "traffic"
    return so_far


def by_signals(told: SignalTally, now: float) -> Proof:
    """What signals alone say: an end is one that was told, and quiet for as long as requests have to be clean."""
    if told.firing:
        fire = f"{plural(told.firing, 'signal still fires', 'signals still fire')}."
        return Proof("signals", signals=fire)
    if not told.measured or told.ended_at is None:
        silent = [(told.absent, "absent"), (told.not_heard, "not heard of")]
        counts = ", ".join(f"{n:,} {word}" for n, word in silent if n)
        return Proof("signals", signals=f"No data: no end was told of signals ({counts}). Give a reason.")
    left_s = max(0.0, CLEAN_S - (now - told.ended_at))
    quiet = f"quiet for {span(CLEAN_S - left_s)} of {span(CLEAN_S)}" if left_s else f"quiet for {span(CLEAN_S)}"
    said = f"{plural(told.ended, 'signal')} ended, {quiet}. No data of requests."
    return Proof("time" if left_s else "nothing", told.ended_at, left_s=left_s, signals=said)
