"""Did it work? What fails since an act against what failed before, and when that is enough to say so."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from msgspec import Struct

from server.kernel.text import span
from server.slo.model.comparison import Finding, Stratum, compare

LONGER = (1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 40.0, 100.0)  # times as long as it has run


class SinceAct(Struct):
    """Counts since an act and before it. `enough_in_s`: if no more fails, so soon it is surely better; None: it is
    already decided, or not to be foreseen."""

    what: str  # the rollback
    at: float  # Unix seconds
    bad: int
    n: int
    before_bad: int
    before_n: int
    finding: Finding
    enough_in_s: float | None = None
    until: str = ""  # the deploy of 77aa001: what came next, and after which nothing is counted; '': nothing yet

    @property
    def counts(self) -> str:
        """`0 of 312 (before: 30 of 480)`."""
        return f"{self.bad:,} of {self.n:,} (before: {self.before_bad:,} of {self.before_n:,})"

    @property
    def verdict(self) -> str:
        """Whether that is enough, and else when it is."""
        if not self.n:
            return "No request until then." if self.until else "No request since."
        if self.finding == "better":
            return "Enough: it fails less."
        if self.finding == "worse":
            return "It fails more."
        if not self.before_bad or self.until:
            return "Nothing failed before either." if not (self.bad or self.before_bad) else "Too few to tell."
        if self.enough_in_s is None:
            return "Too little failed before to tell soon." if not self.bad else "Not better so far."
        return f"Enough in {span(self.enough_in_s)} if no more fails."


def since_act(what: str, at: float, routes: Iterable[Stratum], now: float, until: str = "") -> SinceAct:
    """`routes` count since the act, then before it; `until` what came next."""
    routes = list(routes)
    bad, n, before_bad, before_n = (sum(column) for column in zip(*routes, strict=True)) if routes else (0, 0, 0, 0)
    finding = compare(routes).finding
    open_ = n and before_bad and not until and finding not in ("better", "worse")
    soon = enough_in_s(routes, max(1.0, now - at)) if open_ else None
    return SinceAct(what, at, bad, n, before_bad, before_n, finding, soon, until)


def enough_in_s(routes: Sequence[Stratum], ran_s: float) -> float | None:
    """When what came since, at its rate and with no more failures, is surely better; None: not within LONGER.

    Bisected: an exact test of many routes takes tens of milliseconds, and more that is good is never less sure.
    """

    def surely_better(times: float) -> bool:
        longer = [each._replace(n=max(each.bad, math.floor(each.n * times))) for each in routes]
        return compare(longer).finding == "better"

    first = bisect_left(LONGER, True, key=surely_better)
    return (LONGER[first] - 1) * ran_s if first < len(LONGER) else None
