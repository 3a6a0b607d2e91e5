"""The picture: what the watch publishes once a second and every page shows. Times are Unix seconds."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from server.alerts.alert import Alert
from server.live.service import LiveService
from server.slo.model.status import Status


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
    clock_ahead_s: float = 0.0  # its machine's clock before the database's


class Restart(Struct):
    """A process that ended without an orderly stop, and was started again: `times`, lastly `at`."""

    kind: str  # web, watch
    name: str
    host: str
    times: int
    at: float


class OpenIncident(Struct):
    """An incident that somebody has to look at. `commander` '': nobody; times are Unix seconds."""

    id: int
    severity: int
    title: str
    service: str
    state: str
    onset: float
    commander: str
    drill: bool = False


class RunningMaintenance(Struct):
    """A maintenance window that has begun and is not over; times are Unix seconds."""

    id: int
    services: list[str]
    started_at: float
    stop: float
    reason: str
    expected: str


class Gap(Struct):
    """A take-over of the lease `at`, before which nothing was evaluated for `s` seconds."""

    at: float
    s: float


class Picture(Struct):
    """Everything live."""

    seq: int
    at: float
    term: int
    watch: str  # label of the process that made it
    services: list[LiveService]
    processes: list[ProcessPicture]
    revision: int
    redis: bool | None  # None: not configured
    slo: Status | None = None  # how the objectives stand; None before the first evaluation
    alerts: list[Alert] = field(default_factory=list)  # those that are open, and the newest resolved within an hour
    incidents: list[OpenIncident] = field(default_factory=list)  # the worst first
    maintenance: list[RunningMaintenance] = field(default_factory=list)  # the one that ends first first
    restarts: list[Restart] = field(default_factory=list)  # of the last 15 minutes, newest first
    gap: Gap | None = None  # before this term of the watch; None: not known
    targets: int | None = None  # whom alerts are told; None: a watch that does not say
    other_series: int = 0  # series counted under (other) because a cap was reached
    evaluated_at: float | None = None  # when the objectives were evaluated last; None: a watch that does not say
    alerted_at: float | None = None  # when the alerts were stepped last

    @property
    def behind_s(self) -> float:
        """For how long, when it was made, the objectives or the alerts in it had not been evaluated."""
        done = [at for at in (self.evaluated_at, self.alerted_at) if at is not None]
        return max(0.0, self.at - min(done, default=self.at))


def read_picture(body: bytes, last: Picture | None = None) -> tuple[Picture, str]:
    """The picture from its bytes, and in words what of it cannot be read; '' where everything can.

    During a deploy the watch may be of another version. Objectives that cannot be read stay as they were in `last`,
    the picture that the caller had, and an alert that cannot be read is left out. Either is then as old as when it
    could be read, so that nothing is called well on what is not known. MsgspecError where the windows cannot be read.
    """
    try:
        return msgspec.json.decode(body, type=Picture), ""
    except msgspec.ValidationError:
        return _read_in_parts(body, last)


def _read_in_parts(body: bytes, last: Picture | None) -> tuple[Picture, str]:
    parts = msgspec.json.decode(body, type=dict[str, Raw])
    slo, alerts = parts.pop("slo", Raw(b"null")), parts.pop("alerts", Raw(b"[]"))
    picture, wrong = msgspec.json.decode(msgspec.json.encode(parts), type=Picture), list[str]()
    before = last or picture
    try:
        picture.slo = msgspec.json.decode(slo, type=Status | None)
    except msgspec.ValidationError as error:
        wrong.append(f"objectives: {error}")
        picture.slo = before.slo
        picture.evaluated_at = before.at if before.evaluated_at is None else before.evaluated_at
    for alert in msgspec.json.decode(alerts, type=list[Raw]):
        try:
            picture.alerts.append(msgspec.json.decode(alert, type=Alert))
        except msgspec.ValidationError as error:
            wrong.append(f"alert: {error}")
            picture.alerted_at = before.at if before.alerted_at is None else before.alerted_at
    return picture, "; ".join(wrong)
