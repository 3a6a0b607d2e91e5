"""The live windows over every series: pure; the watch feeds them and takes pictures.

Windows are half-open and end after the second in progress. Outcomes dated ahead
(up to 5 minutes are accepted) wait for their second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from server.kernel.errors import REFUSED_STATUSES
from server.kernel.names import OTHER, OWN
from server.live.deltas import Delta
from server.live.refusals import NONE, Refusals
from server.live.service import LiveService, Point, RouteVersion, ServicePart
from server.live.silence import USUAL_S, Usual
from server.live.sketch import quantile_us
from server.live.sliding import Ring, Sliding, milliseconds

MINUTE_S = 60
POINTS_S = 120
PARTS = 20


class ServiceWindow:
    """The windows of one service."""

    def __init__(self, name: str, end: int) -> None:
        self.name = name
        self.end = end
        self.counts = Ring(USUAL_S, end)
        self.usual = Usual(end)
        self.last_seen: int | None = None
        self.last_bad: int | None = None
        self.late = Ring(MINUTE_S, end)  # by the second of arrival
        self.refused = Ring(MINUTE_S, end)  # of our own requests, what was refused on purpose
        self.minute = Sliding(MINUTE_S, end)
        self.recent = Sliding(POINTS_S, end)
        self.routes: dict[str, Sliding] = {}
        self.versions: dict[str, Sliding] = {}
        self.pairs: dict[tuple[str, str], Ring] = {}  # by route and version
        self._p95: dict[int, float | None] = {}  # of the seconds of `recent` that have not changed since

    def add(self, delta: Delta) -> None:
        self.count(delta.second, delta.n, delta.bad, delta.imported)
        route = f"{delta.series.method} {delta.series.route}"
        for window in (
            self.minute,
            self.recent,
            self._part(self.routes, route),
            self._part(self.versions, delta.series.version),
        ):
            window.add(delta.second, delta.n, delta.bad, delta.sketch)
        pair = (route, delta.series.version)
        if pair not in self.pairs:
            self.pairs[pair] = Ring(MINUTE_S, self.end)
        self.pairs[pair].add(delta.second, delta.n, delta.bad)
        self._p95.pop(delta.second, None)
        if self.name == OWN:
            self.refused.add(delta.second, refused_on_purpose(delta), 0)

    def count(self, second: int, n: int, bad: int, imported: bool) -> None:
        """Counts alone: all that is needed of what is older than the points."""
        self.counts.add(second, n, bad)
        self.last_seen = max(self.last_seen or second, second)
        if bad:
            self.last_bad = max(self.last_bad or second, second)
        if not imported:
            self.usual.heard(second, n)

    def _part(self, parts: dict[str, Sliding], name: str) -> Sliding:
        if name not in parts:
            parts[name] = Sliding(MINUTE_S, self.end)
        return parts[name]

    def advance(self, end: int) -> None:
        self.end = end
        self.counts.advance(end)
        self.usual.advance(end)
        self.late.advance(end)
        self.refused.advance(end)
        self.minute.advance(end)
        self.recent.advance(end)
        for parts in (self.routes, self.versions):
            for name, window in list(parts.items()):
                window.advance(end)
                if not window.n:
                    del parts[name]
        for pair, ring in list(self.pairs.items()):
            ring.advance(end)
            if not ring.sum(end - MINUTE_S, end)[0]:
                del self.pairs[pair]
        for second in [second for second in self._p95 if second < end - POINTS_S]:
            del self._p95[second]

    @property
    def silent_s(self) -> int | None:
        """Seconds of silence where the service is blind; our own requests are counted here, so none is none."""
        return None if self.name == OWN else self.usual.silent_s(self.end)

    @property
    def late_items(self) -> int:
        """What arrived within the last minute and was more than a minute late."""
        return self.late.sum(self.end - MINUTE_S, self.end)[0]

    @property
    def idle(self) -> bool:
        """Nothing within the longest window, neither counted nor refused, and not missed; nor anything late."""
        start, refused = self.end - USUAL_S, self.usual.last_refused
        counted = self.counts.sum(start, self.end)[0] or (refused is not None and refused >= start)
        return not counted and self.silent_s is None and not self.late_items

    def picture(self, refused: Refusals) -> LiveService:
        if refused.refused_items:
            self.usual.last_refused = self.end - 1
        n_5m, bad_5m = self.counts.sum(self.end - 300, self.end)
        routes = parts_of(self.routes, worst_first=True)
        return LiveService(
            name=self.name,
            n=self.minute.n,
            bad=self.minute.bad,
            n_5m=n_5m,
            bad_5m=bad_5m,
            p50_ms=self.minute.quantile_ms(0.5),
            p95_ms=self.minute.quantile_ms(0.95),
            p99_ms=self.minute.quantile_ms(0.99),
            points=self._points(),
            routes=routes,
            versions=parts_of(self.versions, worst_first=False),
            worst_route=worst(self.routes),
            worst_version=worst(self.versions),
            last_seen=self.last_seen,
            usual_per_second=self.usual.per_second,
            silent_s=self.silent_s,
            accepted_items=refused.accepted_items,
            refused_items=refused.refused_items,
            refused_by=refused.reason,
            refused_key=refused.key,
            clock_ahead_s=refused.ahead_s,
            clock_ahead_key=refused.ahead_key,
            last_bad=self.last_bad,
            n_since_bad=0 if self.last_bad is None else self.counts.sum(self.last_bad + 1, self.end)[0],
            clean_s=None if self.last_bad is None else self.end - 1 - self.last_bad,
            last_sent=self.usual.last_seen,
            by_route=self._by_route(),
            late_items=self.late_items,
            lost_items=refused.lost_items,
            refused_requests=self.refused.sum(self.end - MINUTE_S, self.end)[0],
        )

    def _by_route(self) -> list[RouteVersion]:
        """Every version on the routes with most failures, where there are several versions and something fails."""
        if len(self.versions) < 2 or not self.minute.bad:
            return []
        worst_first = sorted(self.routes, key=lambda route: (-self.routes[route].bad, route))[:PARTS]
        found = []
        for (route, version), ring in self.pairs.items():
            if route in worst_first:
                n, bad = ring.sum(self.end - MINUTE_S, self.end)
                found.append(RouteVersion(route, version, n, bad))
        return found

    def _points(self) -> list[Point]:
        points = []
        for second in range(self.end - POINTS_S, self.end):
            n, bad = self.counts.at(second)
            if n:
                points.append(Point(second, n, bad, self._point_p95(second)))
        return points

    def _point_p95(self, second: int) -> float | None:
        if second not in self._p95:
            self._p95[second] = milliseconds(quantile_us(self.recent.at(second), 0.95))
        return self._p95[second]


def refused_on_purpose(delta: Delta) -> int:
    """How many of our own requests were refused for what was sent, or by a limit: a 503 of those is no failure."""
    if delta.series.status in REFUSED_STATUSES:
        return delta.n
    return delta.n - delta.bad if delta.series.status == 503 else 0


def parts_of(windows: Mapping[str, Sliding], *, worst_first: bool) -> list[ServicePart]:
    """At most 20 parts, then the rest as `(other)`."""

    def order(item: tuple[str, Sliding]) -> tuple[int, int, str]:
        return (-item[1].bad if worst_first else 0, -item[1].n, item[0])

    ordered = sorted(windows.items(), key=order)
    parts = [ServicePart(name, window.n, window.bad, window.quantile_ms(0.95)) for name, window in ordered[:PARTS]]
    rest = [window for _, window in ordered[PARTS:]]
    return parts + ([together(rest)] if rest else [])


def together(windows: Iterable[Sliding]) -> ServicePart:
    """Several windows as the part `(other)`."""
    other, sketch = ServicePart(OTHER, 0, 0), dict[int, int]()
    for window in windows:
        other.n += window.n
        other.bad += window.bad
        for key, count in window.sketch.items():
            sketch[key] = sketch.get(key, 0) + count
    other.p95_ms = milliseconds(quantile_us(sketch, 0.95))
    return other


def worst(windows: Mapping[str, Sliding]) -> ServicePart | None:
    """The part with most of the bad ones, where any are bad."""
    name, window = max(windows.items(), key=lambda item: (item[1].bad, item[0]), default=("", None))
    if window is None or not window.bad:
        return None
    return ServicePart(name, window.n, window.bad, window.quantile_ms(0.95))


class LiveWindows:
    """Every service's windows over [.., end); `end` is the Unix second after the one in progress."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.services: dict[str, ServiceWindow] = {}
        self._ahead: dict[int, list[Delta]] = {}

    def add(self, delta: Delta) -> None:
        """Count a delta; what is older than the windows is left out."""
        if delta.second >= self.end:
            self._ahead.setdefault(delta.second, []).append(delta)
        elif delta.second >= self.end - USUAL_S:
            self._service(delta.series.service).add(delta)

    def add_counts(self, service: str, second: int, n: int, bad: int, imported: bool = False) -> None:
        """Count what is older than the points, where no sketch is needed."""
        if self.end - USUAL_S <= second < self.end:
            self._service(service).count(second, n, bad, imported)

    def arrived(self, service: str, second: int) -> None:
        """Something of the service was stored in that second."""
        if service in self.services:
            self.services[service].usual.arrivals.add(second, 1, 0)

    def late(self, service: str, second: int, n: int) -> None:
        """So much of the service was stored in that second and was more than a minute late."""
        self._service(service).late.add(second, n, 0)

    def recall(self, before: LiveService) -> None:
        """What the last picture knew of a service that is silent, or of its last failure."""
        heard = before.last_sent if before.last_sent is not None else before.last_seen
        if before.silent_s is not None and heard is not None:
            service = self._service(before.name)
            service.last_seen = max(service.last_seen or heard, heard)
            service.usual.heard(heard)
            service.usual.per_second = before.usual_per_second
        if before.last_bad is not None and before.name in self.services:
            service = self.services[before.name]
            service.last_bad = max(service.last_bad or before.last_bad, before.last_bad)

    def _service(self, name: str) -> ServiceWindow:
        if name not in self.services:
            self.services[name] = ServiceWindow(name, self.end)
        return self.services[name]

    def advance(self, end: int) -> None:
        """Move on to `end`; time that goes back is waited out."""
        if end <= self.end:
            return
        self.end = end
        for service in list(self.services.values()):
            service.advance(end)
            if service.idle:
                del self.services[service.name]
        for second in sorted(second for second in self._ahead if second < end):
            for delta in self._ahead.pop(second):
                self.add(delta)

    def pictures(self, refusals: Mapping[str, Refusals]) -> list[LiveService]:
        """Every service, by name; also those whose every outcome is refused."""
        names = sorted(self.services.keys() | {name for name, refused in refusals.items() if refused.refused_items})
        return [self._service(name).picture(refusals.get(name, NONE)) for name in names]
