"""The picture: what the watch publishes once a second and every page shows. Times are Unix seconds."""

from __future__ import annotations

from msgspec import Raw, Struct, field

from server.live.service import LiveService


class ProcessPicture(Struct):
    """One process as its heartbeat shows it."""

    id: int
    kind: str  # web, watch
    name: str
    host: str
    started_at: float
    heartbeat_age_s: float
    revision: int | None  # the newest revision that it has a receipt for
    applied_after_ms: float | None  # how long after the revision was made
    queue_items: int
    loop_lag_ms: float
    rss_bytes: int


class Restart(Struct):
    """A process that ended without an orderly stop, and was started again: `times`, lastly `at`."""

    kind: str  # web, watch
    name: str
    host: str
    times: int
    at: float


class Gap(Struct):
    """A take-over of the lease `at`, before which nothing was evaluated for `s` seconds."""

    at: float
    s: float


class Picture(Struct):
    """Everything live. `slo` is server/slo/model/status.py's `Status`, opaque here."""

    seq: int
    at: float
    term: int
    watch: str  # label of the process that made it
    services: list[LiveService]
    processes: list[ProcessPicture]
    revision: int
    redis: bool | None  # None: not configured
    slo: Raw = field(default_factory=lambda: Raw(b"null"))
    alerts: Raw = field(default_factory=lambda: Raw(b"[]"))  # server/alerts/alert.py's open `Alert`s, opaque here
    restarts: list[Restart] = field(default_factory=list)  # of the last 15 minutes, newest first
    gap: Gap | None = None  # before this term of the watch; None: not known
    other_series: int = 0  # series counted under (other) because a cap was reached
    evaluated_at: float | None = None  # when the objectives were evaluated last; None: a watch that does not say
    alerted_at: float | None = None  # when the alerts were stepped last

    @property
    def behind_s(self) -> float:
        """For how long, when it was made, the objectives or the alerts in it had not been evaluated."""
        done = [at for at in (self.evaluated_at, self.alerted_at) if at is not None]
        return max(0.0, self.at - min(done, default=self.at))
