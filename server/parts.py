"""What one process is made of. `server/app.py` builds it; handlers and pages reach everything through it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from server.http.body import TELEMETRY_BYTES, Room

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.alerts.notice import Tell
    from server.auth.authenticator import Authenticator
    from server.auth.identity import Identity
    from server.changes.verdict import ChangeVerdict
    from server.changes.waits import ChangeWaits
    from server.config.in_force import SettingsInForce
    from server.config.lever import LeverAsked, LeverBy, LeverDone
    from server.config.staged import ObjectivesNow
    from server.incidents.runbook_file import RunbookInForce
    from server.ingest.intake import Intake
    from server.ingest.routes.route_patterns import RoutePatterns
    from server.kernel.bus import Bus
    from server.kernel.db import Database
    from server.kernel.settings import Environment
    from server.picture.relay import Relay
    from server.process.process import Process
    from server.receivers.drained import DrainedChange
    from server.slo.policy.policies import Policies
    from server.telemetry.logs import LogStore

FIRST_S = 1.0  # for so long a request goes before ingest: streams, and what waits for a slow database, do not


class InFlight(Protocol):
    """A request that has not been answered: what the handlers of http/ and of the pages have in common."""

    request_id: str
    first: bool  # ingest rests while this is answered
    started: float  # perf_counter


@dataclass(slots=True)
class Parts:
    """The parts of one process, in the order in which they are started."""

    env: Environment
    db: Database
    bus: Bus
    process: Process  # who we are: id, name, heartbeat
    logs: LogStore  # lines kept for look-up
    auth: Authenticator  # keys and sessions, from a short cache
    settings: SettingsInForce  # the settings in force here, and receipts
    policies: Policies  # the objectives in force here
    runbook: RunbookInForce  # the steps of incidents
    intake: Intake  # outcomes in
    routes: RoutePatterns  # how paths become routes
    relay: Relay  # the picture, and who streams it
    waits: ChangeWaits  # who waits for changes
    tell: Tell  # stores what is to be sent to people
    # Why the gate denies a revision at a time, None where it does not: for the settings, which know no objectives.
    gate: Callable[[AsyncConnection, float], Awaitable[str | None]] = field(init=False)
    # How the objectives stand at a time, as a staged revision is judged by it: likewise.
    objectives_now: Callable[[float], ObjectivesNow] = field(init=False)
    # How what failed since changes, by their ids, compares with what failed before at a time: likewise.
    verdicts: Callable[[AsyncConnection, Sequence[int], float], Awaitable[dict[int, ChangeVerdict]]] = field(init=False)
    # Pulls a lever of the settings in the transaction of an incident's act, and tells the processes after it: likewise.
    pull: Callable[[AsyncConnection, LeverAsked, LeverBy], Awaitable[LeverDone]] = field(init=False)
    pulled: Callable[[int], Awaitable[None]] = field(init=False)
    # Records the changes that a platform's lines tell of, in the name of a key; how many were new: likewise.
    told: Callable[[str, Sequence[DrainedChange], Identity, str], Awaitable[int]] = field(init=False)
    in_flight: set[InFlight] = field(default_factory=set)
    bodies: Room = field(default_factory=Room)  # what of bodies is in memory
    telemetry: Room = field(default_factory=lambda: Room(TELEMETRY_BYTES))  # the same of those of telemetry
    started: bool = False  # every part has started
    stopping: bool = False

    def people(self) -> bool:
        """Whether a request is being answered for which ingest rests: not one that takes long anyway."""
        since = time.perf_counter() - FIRST_S
        return any(one.first and one.started > since for one in self.in_flight)
