"""What of the report has to be asked for: the database, Redis, the server on this machine."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from server.config import store as config_store
from server.doctor import store
from server.doctor.report import Section, by_kind
from server.kernel.connection import opened
from server.kernel.db import POOLER, Database
from server.kernel.errors import ConfigurationError
from server.kernel.redaction import place_in
from server.kernel.redis_client import FAILURES, redis_client
from server.kernel.settings import Environment
from server.kernel.text import first_line
from server.process import embedded, migrate, size_store
from server.process.process_store import RUNNING, shared_connections
from server.selfcheck import store as check_store

LIMIT_S = 10.0  # for one section
HEALTH_S = 3.0
LEASE_OLD_S = 3.0
AWAY = "No answer"

Part = Callable[[Database, Section], Awaitable[None]]


async def of_database(env: Environment) -> list[Section]:
    """Everything that the database knows; where none answers, why. None is started."""
    url = env.database_url or embedded.cluster(env).url
    away = await asyncio.to_thread(why_away, env.session_url or url)
    if away:
        return [Section("Database", {"where": where_is(env)}, wrong=[f"{AWAY}: {away}"])]
    db = Database(url, "evenkeel doctor", env.database_direct_url, env.outcomes_database_url)
    try:
        found = [await guarded(title, part, db) for title, part in PARTS.items()]
        return found if db.apart is None else [*found, await guarded("Outcomes' own database", of_outcomes, db.apart)]
    finally:
        await db.close()


def why_away(url: str) -> str:
    """Why no database answers there; empty where one does."""
    try:
        with psycopg.connect(url, connect_timeout=3):
            return ""
    except psycopg.Error as error:
        return first_line(error)


def where_is(env: Environment) -> str:
    return place_in(env.database_url) if env.database_url else f"embedded, in {env.data_dir}"


async def guarded(title: str, part: Part, db: Database) -> Section:
    """One section; what goes wrong in it is said there, and stops no other."""
    section = Section(title)
    try:
        async with asyncio.timeout(LIMIT_S):
            await part(db, section)
    except Exception as error:  # the report is for when things are broken
        section.wrong.append(f"{type(error).__name__}: {first_line(error)}")
    return section


async def database(db: Database, section: Section) -> None:
    section.facts["where"] = place_in(db.url)  # of the embedded one its socket
    async with db.ask() as connection:
        section.facts |= await store.database_facts(connection)
    section.doubtful += [f"Limits do not hold in {road}: {what}. {POOLER}" for road, what in db.unlimited.items()]


async def schema(db: Database, section: Section) -> None:
    """Which schema it has, and which this release needs."""
    at, head = await asyncio.to_thread(migrate.current, db.url), await asyncio.to_thread(migrate.head)
    section.facts |= {"the database's": at, "this release's": head}
    if at is None or (at != head and at in migrate.known()):
        section.wrong.append("The schema is older than this release: python -m alembic upgrade head")
    elif at != head:
        section.doubtful.append("The schema is newer than this release.")


async def limits(db: Database, section: Section) -> None:
    """What the newest revision says of the settings that change at run time; who made it and why stays there."""
    async with db.ask() as connection:
        revision, now = await config_store.current(connection)
    section.facts |= {"revision": revision.number, "kind": revision.kind, "age s": int(now - revision.at)}
    section.facts |= {f"{one.setting} of {one.scope}": str(one.value) for one in revision.entries}


async def processes(db: Database, section: Section) -> None:
    async with opened(db, "doctor") as own:
        shared = await shared_connections(own, on_machine=1)
    section.facts["connections"] = str(shared)
    if not shared.enough:
        section.doubtful.append(str(shared))
    async with db.ask() as connection:
        section.rows += await store.processes(connection, RUNNING)
        age_s, term = await store.lease(connection)
    section.facts |= {"lease renewed s ago": age_s, "term": term}
    if age_s is None or age_s > LEASE_OLD_S:
        section.wrong.append("No watch holds the lease: nothing is evaluated.")


async def checks(db: Database, section: Section) -> None:
    """What each found when it ran last."""
    async with db.ask() as connection:
        latest = await check_store.latest(connection)
    for result in latest:
        worst = result.findings[0] if result.findings else None
        what = f"{worst.where}: {worst.what}" if worst and worst.where else worst.what if worst else ""
        section.rows.append(
            {"check": result.name, "status": result.status, "at": f"{result.at:%Y-%m-%dT%H:%M:%SZ}", "found": what}
        )
        {"fail": section.wrong, "warn": section.doubtful}.get(result.status, []).append(f"{result.name}: {what}")


async def tables(db: Database, section: Section) -> None:
    async with db.ask() as connection:
        sizes = await size_store.table_sizes(connection)
    section.facts["tables"] = len(sizes)
    section.rows += [
        {"table": one.name, "bytes": one.bytes, "rows, about": one.rows_about, "parts": one.parts} for one in sizes
    ]


async def errors(db: Database, section: Section) -> None:
    """Of which kind the newest warnings and errors are; what they say stays in the log."""
    async with db.ask() as connection:
        section.rows += by_kind(await store.errors(connection))


async def of_outcomes(db: Database, section: Section) -> None:
    """The second database: what it is, what it holds, and whether marks are settled there."""
    section.facts["where"] = place_in(db.url)
    away = await asyncio.to_thread(why_away, db.url)
    if away:
        section.wrong.append(f"{AWAY}: {away}")
        return
    for part in (database, schema):
        await part(db, section)
    async with db.ask() as connection:
        sizes = await size_store.table_sizes(connection)
        section.facts |= await store.marks(connection)
    section.facts |= {f"bytes of {one.name}": one.bytes for one in sizes if one.name in ("outcomes", "flush_marks")}


PARTS: dict[str, Part] = {
    "Database": database,
    "Schema": schema,
    "Limits": limits,
    "Processes": processes,
    "Checks": checks,
    "Tables": tables,
    "Errors": errors,
}


async def of_redis(env: Environment) -> Section:
    """How Redis answers, where there is one."""
    section = Section("Redis", {"where": place_in(env.redis_url) if env.redis_url else "not configured"})
    if not env.redis_url:
        return section
    try:
        client = redis_client(env.redis_url, HEALTH_S)
        try:
            async with asyncio.timeout(LIMIT_S):
                began = time.perf_counter()
                await client.ping()
                section.facts["answers in ms"] = (time.perf_counter() - began) * 1000
                section.facts |= redis_facts(await client.info())
        finally:
            await client.aclose()
    except (*FAILURES, ConfigurationError) as error:
        section.doubtful.append(f"{AWAY}: {first_line(error)}")
    return section


def redis_facts(info: dict[str, Any]) -> dict[str, Any]:
    names = ("redis_version", "redis_mode", "role", "connected_clients", "used_memory", "maxmemory", "maxmemory_policy")
    if "redis_version" not in info:  # of a cluster: by node
        info = next(iter(info.values()), {})
    return {name: info.get(name) for name in names}


def of_health(env: Environment) -> Section:
    """What the server on this machine says of itself; that there is none is no fault: a one-off process has none."""
    host = "127.0.0.1" if env.host in ("0.0.0.0", "::", "") else env.host  # noqa: S104 - compared, not bound
    url = f"http://{host}:{env.port}/health/ready"
    section = Section("Health", {"asked": url})
    try:
        try:
            with urllib.request.urlopen(url, timeout=HEALTH_S) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            found = json.loads(refused.read())
        rows = [{"part": name, **part} for name, (part,) in found["checks"].items()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        section.facts["answer"] = f"{AWAY}: {first_line(error)}"
        return section
    section.facts |= {"answer": found["status"], "version": found.get("version")}
    columns = {"part": "part", "status": "status", "value": "observedValue", "unit": "observedUnit", "says": "output"}
    for row in rows:
        section.rows.append({title: row.get(name) for title, name in columns.items()})
        if row["status"] != "pass":
            (section.wrong if row["status"] == "fail" else section.doubtful).append(f"{row['part']}: {row['output']}")
    return section
