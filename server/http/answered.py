"""An answered request: its log line, the metrics, and the outcome of the service `evenkeel`."""

from __future__ import annotations

import logging

from msgspec import Struct

from server.kernel import shared_clock
from server.kernel.errors import REFUSED_CODES, REFUSED_STATUSES
from server.parts import Parts
from server.telemetry import metrics

log = logging.getLogger("evenkeel.access")

SLOW_S = 1.0


class Answered(Struct):
    """What is logged and counted of a request."""

    route: str  # what it is counted under
    method: str
    path: str
    status: int
    code: str  # of the problem document that was answered
    seconds: float
    request_id: str
    who: str
    address: str
    stored: int | None  # outcomes that it stored; None: it is not for storing any
    receiver: str = ""  # the name of the receiver that it came in by; empty: by none
    taken: int = 0  # items that came in by it, where they are not outcomes that it stored
    key_id: int = 0  # 0: no valid key
    size: int = 0  # bytes of the body, on the wire
    said: str = ""  # why it was refused

    @property
    def kept(self) -> bool:
        """Whether its line is kept for look-up. Beside a single outcome it would be half of what that costs the
        database, and at thousands a second push out what is looked for; the outcome is found by its own id."""
        return self.stored != 1 or self.status >= 400 or self.seconds >= SLOW_S


def record(parts: Parts, one: Answered, *, counted: bool = True, routine: bool = False) -> None:
    """Log and count it. Not `counted`: it is no part of the service `evenkeel`; `routine`: at debug."""
    found = one.kept and not routine  # by its id: an exemplar leads somewhere
    metrics.request(one.route, one.method, one.status, one.seconds, one.request_id if found else "")
    if counted:
        refused = one.status in REFUSED_STATUSES or one.code in REFUSED_CODES
        parts.intake.count_own(one.route, one.method, one.status, None if refused else one.seconds)
    if one.receiver and not routine:
        received, items = parts.intake.received, one.stored or one.taken
        received.add(shared_clock.now(), one.receiver, one.key_id, one.code, items=items, size=one.size, said=one.said)
    fields = {
        "route": one.route,
        "duration_ms": round(one.seconds * 1000, 2),
        "who": one.who,
        "address": one.address,
    }
    if one.stored is not None:
        fields["stored"] = one.stored
    log.log(
        logging.DEBUG if routine else logging.INFO,
        "%s %s %d",
        one.method,
        one.path,
        one.status,
        extra={"request_id": one.request_id, "fields": fields, "kept": one.kept},
    )
