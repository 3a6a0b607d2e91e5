"""The composition root: builds every part, wires it, tears down in reverse."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.routing import URLSpec
from tornado.web import Application, GZipContentEncoding, RequestHandler, _HandlerDelegate

from checks import schedule
from dashboard.routes import routes as pages
from dashboard.shared.rendering import compile_templates
from server.auth.authenticator import Authenticator
from server.changes.drained import tell_drained
from server.changes.waits import ChangeWaits
from server.config.in_force import SettingsInForce
from server.config.levers import pull
from server.config.service import signalled
from server.gate.asking import revision_denied
from server.http.doors import Doors
from server.http.handler import NotFound
from server.http.lean import Lean
from server.http.starting import NoRoom, Starting
from server.http.static import StaticFiles
from server.incidents.runbook_file import RunbookInForce
from server.ingest import native
from server.ingest.intake import Intake
from server.ingest.lean import LeanOutcomes
from server.ingest.routes.route_patterns import RoutePatterns
from server.ingest.telemetry.otlp_handlers import ADDRESSES, MisaddressedTelemetry, misaddressed
from server.jobs import jobs
from server.kernel.bus import Bus
from server.kernel.database_trouble import trouble_of
from server.kernel.db import Database
from server.kernel.lifecycle import close_each, on_hangup, start_each, stop_signal
from server.kernel.names import name_process
from server.kernel.settings import Environment
from server.notify.outbox import enqueue
from server.parts import Parts
from server.picture.objectives_now import objectives_now
from server.picture.relay import Relay
from server.process import supervisor
from server.process.glance import Glance
from server.process.process import Process
from server.process.ready import ReadyFlag, ready_flags
from server.process.watch import Watch
from server.routes import API
from server.slo.judge.changes import read_verdicts
from server.slo.policy.policies import Policies
from server.telemetry.logs import LogStore
from server.telemetry.negotiation import OPEN_METRICS

log = logging.getLogger("evenkeel.app")

DRAIN_S = 12.0
LINGER_S = 1.0  # in which a connection that was kept hears with its next answer that it ends
OTHERS_S = 0.05  # between two looks at whether another process has started
STATIC = Path(__file__).resolve().parent.parent / "static"


class Arriving(_HandlerDelegate):
    """A request on its way to its handler, which is told when the whole body is there."""

    def finish(self) -> None:
        self.handler.arrived()  # type: ignore[attr-defined]


class Packing(GZipContentEncoding):
    """Packs OpenMetrics too, which Tornado does not take for text."""

    CONTENT_TYPES = GZipContentEncoding.CONTENT_TYPES | {OPEN_METRICS}


class Site(Application):
    """The addresses of one web process."""

    def __init__(self, parts: Parts, **settings: Any) -> None:
        self.parts = parts
        super().__init__(
            urls(parts),
            default_handler_class=NotFound,
            default_handler_args={"parts": parts},
            static_handler_class=StaticFiles,
            static_handler_args={"parts": parts},
            api=API,
            **settings,
        )

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        if not self.parts.started and not request.path.startswith(("/health/", "/static/")):
            return self.get_handler_delegate(request, Starting, {"parts": self.parts})
        if request.server_connection.reserve and for_machines(request.path):  # type: ignore[attr-defined]
            return self.get_handler_delegate(request, NoRoom, {"parts": self.parts})
        if request.method == "POST" and misaddressed(request.query):
            return self.get_handler_delegate(request, MisaddressedTelemetry, {"parts": self.parts})
        return super().find_handler(request, **kwargs)

    def get_handler_delegate(
        self,
        request: HTTPServerRequest,
        target_class: type[RequestHandler],
        target_kwargs: dict[str, Any] | None = None,
        path_args: list[bytes] | None = None,
        path_kwargs: dict[str, bytes] | None = None,
    ) -> Arriving:
        return Arriving(self, request, target_class, target_kwargs, path_args, path_kwargs)


def for_machines(path: str) -> bool:
    """Whether an address is one that programs ask, not people."""
    return path.startswith(("/api/", "/v2/", "/mcp", "/metrics")) or path.endswith(ADDRESSES)


def urls(parts: Parts) -> list[URLSpec]:
    """Every address: the API's table, then the pages."""
    return [route.spec(parts) for route in API] + pages(parts)


@dataclass(slots=True)
class Web:
    """One running web process."""

    parts: Parts
    server: Doors
    starting: asyncio.Task[None]
    opening: asyncio.Task[None]
    flag: ReadyFlag

    async def close(self, linger_s: float = LINGER_S) -> None:
        """Stop accepting, finish what is in flight, flush, and close every part in reverse.

        Kept connections stay for `linger_s`: closed at once, they would take with them what is on its way to us.
        """
        self.parts.stopping = True
        self.flag.set(False)
        self.server.stop()
        self.parts.relay.end_streams()
        self.parts.waits.end()
        began = asyncio.get_running_loop().time()
        while self._busy(asyncio.get_running_loop().time() - began, linger_s):  # noqa: ASYNC110 - another part changes it
            await asyncio.sleep(0.02)
        if self.parts.in_flight:
            log.warning("%d requests did not finish in %g s", len(self.parts.in_flight), DRAIN_S)
        await self.server.close_all_connections()
        self.starting.cancel()
        self.opening.cancel()
        await asyncio.gather(self.starting, self.opening, return_exceptions=True)
        await close_parts(self.parts)

    def _busy(self, waited_s: float, linger_s: float) -> bool:
        """Whether a request is in flight, or may still come on a connection that is open."""
        if self.parts.in_flight:
            return waited_s < DRAIN_S
        return self.server.open > 0 and waited_s < linger_s


def build(env: Environment, name: str) -> Parts:
    """The parts of a web process, not yet started. Call inside the event loop."""
    assert env.database_url is not None, "the supervisor has given the embedded database's address"
    name_process(name)
    db = Database(env.database_url, f"evenkeel {name}", env.database_direct_url, env.outcomes_database_url)
    bus = Bus(db, env.redis_url)
    process = Process(db, "web", name, env.web_concurrency + 1)
    settings = SettingsInForce(env, db, bus, process)
    policies = Policies(env, db, bus, process)
    intake = Intake(env, db, policies, process)
    parts = Parts(
        env=env,
        db=db,
        bus=bus,
        process=process,
        logs=LogStore(env, db, process),
        auth=Authenticator(env, db, bus),
        settings=settings,
        policies=policies,
        runbook=RunbookInForce(env.runbook_file),
        intake=intake,
        routes=RoutePatterns(db, bus, intake.numbering.book.counts),
        relay=Relay(db, bus),
        waits=ChangeWaits(db, bus, read_verdicts),
        tell=enqueue,
    )
    parts.intake.turns.others = parts.people
    parts.gate = partial(revision_denied, parts)
    parts.verdicts = read_verdicts
    parts.told = partial(tell_drained, parts)
    parts.pull = partial(pull, parts)
    parts.pulled = partial(signalled, parts)
    parts.objectives_now = lambda now: objectives_now(parts.relay.picture, parts.relay.age_s(now))
    return parts


async def start_web(
    env: Environment, name: str, sockets: list[socket.socket] | None = None, flag: ReadyFlag | None = None
) -> Web:
    """A web process in this loop. It answers health at once, and everything else when the database does."""
    parts = build(env, name)
    site = Site(
        parts,
        static_path=str(STATIC),
        transforms=[Packing],  # pages, streams and metrics repeat themselves
        cookie_secret=env.secret_key,
    )
    server = Doors(site, Lean(parts, LeanOutcomes(parts)))
    starting = asyncio.create_task(start_parts(parts), name="start")
    listening = bind_sockets(env.port, env.host) if sockets is None else sockets
    flag = flag or ready_flags(1)[0]
    opening = asyncio.create_task(open_doors(server, listening, parts, flag), name="open")
    return Web(parts, server, starting, opening, flag)


async def open_doors(doors: Doors, sockets: list[socket.socket], parts: Parts, flag: ReadyFlag) -> None:
    """Accept from the beginning, so that health answers; but where another process has started, only then."""
    listening = False
    while not parts.started:
        if listening is flag.others():
            listening = not listening
            doors.add_sockets(sockets) if listening else doors.rest()
        await asyncio.sleep(OTHERS_S)
    if not listening:
        doors.add_sockets(sockets)
    flag.set(True)


async def start_parts(parts: Parts) -> None:
    """Start every part of a web process; it is ready when this ends."""
    parts.bus.start()
    compiling = asyncio.create_task(asyncio.to_thread(compile_templates))
    steps = [parts.process.register, *(part.start for part in started_in_order(parts))]
    await start_each(steps, lambda error: parts.process.database.found(trouble_of(error)))
    await compiling
    parts.process.start()
    parts.started = True
    log.info("%s is ready; it counts with the %s code", parts.process.name, native.counting())


def started_in_order(parts: Parts) -> list[Any]:
    settings = [parts.logs, parts.auth, parts.settings, parts.policies, parts.routes]
    return [*settings, parts.intake, parts.relay, parts.waits]


async def close_parts(parts: Parts) -> None:
    await close_each([*reversed(started_in_order(parts)), parts.process, parts.bus, parts.db])


@dataclass(slots=True)
class WatchProcess:
    """One running watch process: a candidate for the lease, or its holder."""

    watch: Watch
    policies: Policies
    parts: list[Any]  # in the order in which they close

    async def close(self) -> None:
        """Let go of the lease and close every part."""
        await close_each(self.parts)


async def start_watch(env: Environment, name: str) -> WatchProcess:
    """A watch process in this loop. It leads when nobody else does."""
    assert env.database_url is not None, "the supervisor has given the embedded database's address"
    name_process(name)
    db = Database(env.database_url, f"evenkeel {name}", env.database_direct_url, env.outcomes_database_url)
    bus = Bus(db, env.redis_url)
    process = Process(db, "watch", name, env.web_concurrency + 1)
    logs = LogStore(env, db, process)
    policies = Policies(env, db, bus, process)
    glance = Glance(db, "tick")
    watch = Watch(db, process, [*jobs(env, db, bus, process, policies, glance), *schedule.jobs(env, db)])
    bus.start()
    await start_each([process.register, logs.start, policies.start, watch.start])
    process.start()
    return WatchProcess(watch, policies, [watch, glance, policies, logs, process, bus, db])


def settle() -> None:
    """What lives as long as the process is left out of each garbage collection, which was a fifth of ingest's work."""
    gc.collect()
    gc.freeze()


async def run_web(env: Environment, name: str, sockets: list[socket.socket], flag: ReadyFlag) -> None:
    """A web process until SIGTERM."""
    stop = stop_signal()
    web = await start_web(env, name, sockets, flag)
    on_hangup(web.parts.policies.take_file)
    web.starting.add_done_callback(lambda task: stop.set() if failure(task) else settle())
    await stop.wait()
    wrong = failure(web.starting)
    await web.close()
    if wrong is not None:
        raise wrong


def failure(task: asyncio.Task[None]) -> BaseException | None:
    """What a task has failed with, as a start does where the objectives cannot be read."""
    return task.exception() if task.done() and not task.cancelled() else None


async def run_watch(env: Environment, name: str, sockets: list[socket.socket]) -> None:
    """A watch process until SIGTERM, which also ends a start that waits for the database."""
    supervisor.close(sockets)
    stop = asyncio.create_task(stop_signal().wait())
    start = asyncio.create_task(start_watch(env, name))
    await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
    if not start.done():
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        return
    watching = start.result()
    on_hangup(watching.policies.take_file)
    settle()
    await stop
    await watching.close()
