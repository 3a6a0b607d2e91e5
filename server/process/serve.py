"""`python -m server`: check, start the database, migrate, fork, and say where to look."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import logging
import os
import shlex
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from server.ingest.first_outcome import first_outcome
from server.ingest.spool.spool_place import no_spool
from server.kernel.settings import Environment, read_environment
from server.process import embedded, supervisor
from server.process.ready import ready_flags
from server.process.reserve import reserve_of

log = logging.getLogger("evenkeel.serve")

LINE = "─" * 72


def serve(env: Environment) -> None:
    """Serve until a signal says stop. Raises ConfigurationError where the environment does not allow it."""
    with contextlib.ExitStack() as stack:
        # What may be refused comes first: a second start must not touch what the first one uses.
        sockets = supervisor.bind(env)
        if env.embedded:
            stack.enter_context(supervisor.hold(env))
        stack.enter_context(metrics_directory(env))
        gc.disable()  # what is imported stays: to look for garbage meanwhile is a quarter of the work
        # Only now: prometheus-client looks for its directory when it is imported.
        from server import app
        from server.http.doors import raise_file_limit
        from server.telemetry import logs

        gc.enable()
        # Else a child looks all of it through as it starts: on a busy machine for seconds, in which its transactions
        # stand still and are ended by their own limit.
        gc.freeze()
        logs.setup(env.log_level, env.log_format, sys.stdout)
        warn(env)
        cluster = embedded.cluster(env) if env.embedded else None
        if cluster is not None:
            env = start_database(env, cluster)
        raise_file_limit()
        flags = ready_flags(env.web_concurrency)
        children = [
            supervisor.Child(name, functools.partial(app.run_web, env, name, sockets, flag), flag)
            for flag in flags
            for name in [f"web.{flag.number + 1}"]
        ]
        children.append(supervisor.Child("watch.1", functools.partial(app.run_watch, env, "watch.1", sockets)))
        announcer = announce_in_child(env, sockets) if sys.stdout.isatty() or cluster is not None else 0
        supervisor.Supervisor(children, sockets, cluster, reserve_of(env), announcer).run()


def warn(env: Environment) -> None:
    """Say what is allowed but hardly meant."""
    if not env.embedded and not env.raw.get("PUBLIC_URL", "").strip():
        log.warning("PUBLIC_URL is not set: links lead to %s. Set it to people's https:// address.", env.public_url)
    why = no_spool(env)
    if why:
        log.warning("While the database is away outcomes are refused, not spooled: %s", why)


def start_database(env: Environment, cluster: embedded.Cluster) -> Environment:
    """Start and migrate the embedded database; the environment that points to it."""
    from server.process.migrate import migrate

    reserve_of(env).keep()
    embedded.start(cluster)
    migrate(cluster.url)
    return replace(env, database_url=cluster.url)


@contextlib.contextmanager
def metrics_directory(env: Environment) -> Iterator[None]:
    """A directory for the metrics of all processes, for this run: in DATA_DIR where that is ours."""
    if env.embedded:
        path = env.data_dir / f"metrics-{env.port}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    else:
        path = Path(tempfile.mkdtemp(prefix="evenkeel-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)
    try:
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)


def announce_in_child(env: Environment, sockets: list[socket.socket]) -> int:
    """Print the block from a process of its own, whose pid it gives: the parent must not have had an event loop."""
    sys.stdout.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        supervisor.follow(parent)
        supervisor.close(sockets)
        asyncio.run(announce(env))
    except Exception:
        log.exception("the address and the sign-in link could not be printed")
    finally:
        sys.stdout.flush()
        os._exit(0)


async def announce(env: Environment) -> None:
    """Wait until we are ready, then print where to look, how to sign in and how to send an outcome."""
    from server.auth.signin import first_admin_link
    from server.kernel.db import Database

    began = time.monotonic()
    # All of it, the watch too: what they say as they start comes before the block, which then stays in sight.
    while await status(env) not in said(time.monotonic() - began):  # noqa: ASYNC110 - another process says it
        await asyncio.sleep(0.05)
    db = Database(env.database_url or "")
    try:
        link = await first_admin_link(db, env)
    finally:
        await db.close()
    print("\n".join(first_steps(env, link)), flush=True)  # noqa: T201 - this block is what a person starts from


def first_steps(env: Environment, link: str | None) -> list[str]:
    """Where to look, how to sign in and how to send an outcome, as commands to paste into another terminal."""
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    usual = env.data_dir == read_environment({}, for_database_only=True).data_dir
    where = f"DATA_DIR={shlex.quote(str(env.data_dir))} " if not (usual or env.raw.get("DATABASE_URL")) else ""
    lines = [LINE, f"  Evenkeel is ready:  {env.public_url}", ""]
    if link:
        lines += ["  Sign in as the first administrator (works once, for 24 hours):", f"    {link}", ""]
    return [
        *lines,
        "  Send a first outcome:",
        f"    KEY=$({where}{shown} -m server key create first --scope ingest)",
        *(f"    {line}" for line in first_outcome(env.public_url).splitlines()),
        LINE,
    ]


WAITING_S, AT_MOST_S = 10.0, 60.0


def said(waited_s: float) -> tuple[str, ...]:
    """The states of health in which the block is printed, after so long."""
    if waited_s < WAITING_S:
        return ("pass",)
    return ("pass", "warn") if waited_s < AT_MOST_S else ("pass", "warn", "fail", "")


async def status(env: Environment) -> str:
    """What /health/ready says: pass, warn, fail; empty where it does not answer."""
    host = "127.0.0.1" if env.host in ("0.0.0.0", "::", "") else env.host  # noqa: S104 - compared, not bound
    try:
        reader, writer = await asyncio.open_connection(host, env.port)
        writer.write(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(3):
            answer = await reader.read()
        writer.close()
        health = json.loads(answer.partition(b"\r\n\r\n")[2])
    except (OSError, TimeoutError, ValueError):
        return ""
    return str(health.get("status", ""))
