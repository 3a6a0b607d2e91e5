"""Migrations: one head, reversible or marked with a reason, no long lock; tables and migrations agree.

A migration that cannot be reversed says so with `IRREVERSIBLE = "the reason"`, one
that drops what an earlier release stopped using with `RETIRED = "since 1.4"`.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from checks.check import DAY_S, Check, Surroundings, fail, note
from server.ingest.partition_store import EARLIER_INDEX
from server.ingest.partitions import day_of
from server.selfcheck.findings import Finding
from server.tables import metadata


async def run(around: Surroundings) -> list[Finding]:
    """The files always; the agreement with the tables where a migrated database is at hand."""
    findings = await asyncio.to_thread(inspect, str(around.root / "migrations"))
    if around.db is not None and all(finding.level == "note" for finding in findings):
        async with around.db.read.connect() as connection:
            findings += await connection.run_sync(disagreements)
    return findings


def inspect(folder: str) -> list[Finding]:
    """What the migration files break."""
    directory = ScriptDirectory(folder)
    findings = heads(directory)
    if not findings:
        for script in directory.walk_revisions():
            findings += of_script(script)
        if not judges_locks():
            hint = "CI judges them; here it takes: pip install -e .[dev]"
            findings.append(note("Which migrations hold up a live table was not judged: pglast is missing.", hint))
    return findings


def judges_locks() -> bool:
    """Whether pglast is here, which is for development: a deployed Evenkeel comes without."""
    try:
        import_module("checks.locks")
    except ModuleNotFoundError:
        return False
    return True


def heads(directory: ScriptDirectory) -> list[Finding]:
    found = sorted(directory.get_heads())
    if len(found) == 1:
        return []
    hint = "Rebase one migration onto the other: set its down_revision." if found else "Write the first migration."
    return [fail(f"There are {len(found)} heads: {', '.join(found) or 'none'}.", hint, "migrations/versions")]


def of_script(script: Script) -> list[Finding]:
    """What one migration breaks."""
    where = f"migrations/versions/{script.path.rsplit('/', 1)[-1]}"
    retired = bool(getattr(script.module, "RETIRED", ""))
    try:
        forwards = rendered(script.module.upgrade)
    except Exception as error:
        hint = "Write it with op.* only: what reads the database cannot be checked, and belongs in a job."
        return [fail(f"Its SQL cannot be rendered: {error}", hint, where)]
    return held_up(forwards, retired, where) + reversible(script.module, forwards, where)


def held_up(forwards: list[str], retired: bool, where: str) -> list[Finding]:
    """The statements that hold a live table up; none where they cannot be judged."""
    if not judges_locks():
        return []
    from checks.locks import broken

    return [fail(f"`{text[:120]}` {fault.harm}.", fault.hint, where) for text, fault in broken(forwards, retired)]


def reversible(module: Any, forwards: list[str], where: str) -> list[Finding]:
    """A downgrade that does something, or a reason why there is none."""
    reason = getattr(module, "IRREVERSIBLE", "")
    if isinstance(reason, str) and len(reason) > 10:
        return []
    try:
        backwards = rendered(module.downgrade)
    except Exception as error:
        return [fail(f"It cannot be reversed: {type(error).__name__}.", IRREVERSIBLE_HINT, where)]
    if forwards and not backwards:
        return [fail("Its downgrade does nothing.", IRREVERSIBLE_HINT, where)]
    return []


IRREVERSIBLE_HINT = 'Write downgrade(), or say why not: IRREVERSIBLE = "the reason".'


def rendered(step: Any) -> list[str]:
    """The SQL of upgrade() or downgrade(), text by text, without a database."""
    buffer = Buffer()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer})
    with Operations.context(context):
        step()
    return [text for text in buffer.scripts if text.strip()]


class Buffer:
    """Where Alembic writes one statement after the other."""

    def __init__(self) -> None:
        self.scripts: list[str] = []

    def write(self, text: str) -> int:
        self.scripts.append(text)
        return len(text)

    def flush(self) -> None: ...


def disagreements(connection: Connection) -> list[Finding]:
    """Where the database at the head differs from server/tables. Partitions are not in the tables."""
    options = {"include_object": declared, "compare_type": True, "compare_server_default": False}
    context = MigrationContext.configure(connection, opts=options)
    hint = "Write a migration, or correct server/tables; an older database: python -m alembic upgrade head"
    return [
        fail(f"The migrated database differs from the tables: {described(difference)}.", hint, "server/tables")
        for difference in compare_metadata(context, metadata)
    ]


def declared(thing: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Partitions of outcomes and Alembic's own table are not in server/tables, nor is what the watch drops."""
    if kind == "index" and name == EARLIER_INDEX:
        return False
    table = name if kind == "table" else getattr(getattr(thing, "table", None), "name", name)
    return table in metadata.tables or not (day_of(str(table)) or table == "alembic_version")


def described(difference: Any) -> str:
    """Alembic's tuple, or list of tuples for one column, in words."""
    first = difference[0] if isinstance(difference, list) else difference
    words = [getattr(part, "name", part) for part in first if part is not None]
    return " ".join(str(word) for word in words if isinstance(word, str))


CHECK = Check(
    "schema_policy",
    "Migrations are reversible, take no long lock and agree with the tables",
    needs="repository",
    run=run,
    every_s=DAY_S,
    limit_s=60,
)
