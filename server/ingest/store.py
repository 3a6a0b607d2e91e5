"""SQL of ingest: numbering series, claiming idempotency keys, copying outcomes and deltas, counting intake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from server.ingest.lines.line import LINE_ROWS
from server.ingest.rows import DELTAS, OUTCOMES
from server.ingest.series import Name, Series
from server.kernel.connection import Connection
from server.kernel.names import OWN

SERIES_LOCK = 0x65766B01  # advisory, within a transaction: who numbers series does so alone

COPY_OUTCOMES = OUTCOMES.statement
COPY_LINES = LINE_ROWS.statement
COPY_DELTAS = DELTAS.statement


async def lock_series(connection: Connection) -> None:
    """Wait until nobody else numbers series; until the end of the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (SERIES_LOCK,))


async def active_series(connection: Connection, last_id: int | None) -> tuple[list[tuple[Name, int]], int]:
    """What was active within a day, or was numbered after `last_id`: each with the key that brought it, in the order
    of numbers; and the newest number."""
    newest = await connection.execute("SELECT coalesce(max(id), 0) FROM series")
    row = await newest.fetchone()
    if last_id is None:
        found = await connection.execute(
            "SELECT service, version, route, method, status, key_id FROM series"
            " WHERE first_seen_at > now() - interval '1 day'"
            " OR id IN (SELECT series_id FROM hours WHERE hour > now() - interval '1 day') ORDER BY id"
        )
    else:
        found = await connection.execute(
            "SELECT service, version, route, method, status, key_id FROM series WHERE id > %s ORDER BY id", (last_id,)
        )
    rows = cast(Any, await found.fetchall())
    return [(Name(*name), key_id) for *name, key_id in rows], int(cast(Any, row)[0])


async def senders(connection: Connection) -> int:
    """How many keys may send, but for those that our own checks make; at least 1."""
    found = await connection.execute(
        "SELECT greatest(1, count(*)) FROM api_keys WHERE 'ingest' = ANY (scopes) AND revoked_at IS NULL"
        " AND coalesce(expires_at > now(), true) AND created_by <> %s",
        (OWN,),
    )
    return int(cast(Any, await found.fetchone())[0])


async def number_series(connection: Connection, names: Mapping[Name, int], key_id: int) -> list[Series]:
    """The series of these names, made where they are new; the key brings those. Each with its first second."""
    ordered = sorted(names)
    columns = [list(column) for column in zip(*ordered, strict=True)]
    given = (
        "unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::smallint[])"
        " AS given(service, version, route, method, status)"
    )
    await connection.execute(
        "INSERT INTO series (service, version, route, method, status, first_seen_at, key_id)"
        " SELECT given.service, given.version, given.route, given.method, given.status,"
        " least(now(), to_timestamp(given.first)), %s"
        " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::smallint[], %s::bigint[])"
        " AS given(service, version, route, method, status, first)"
        " WHERE NOT EXISTS (SELECT FROM series s WHERE (s.service, s.version, s.route, s.method, s.status) ="
        " (given.service, given.version, given.route, given.method, given.status))"
        " ON CONFLICT DO NOTHING",
        [key_id, *columns, [names[name] for name in ordered]],
    )
    found = await connection.execute(
        f"SELECT id, service, version, route, method, status FROM series JOIN {given}"
        " USING (service, version, route, method, status)",
        columns,
    )
    return [Series(int(cast(Any, row)[0]), Name(*cast(Any, row)[1:])) for row in await found.fetchall()]


async def register_writer(connection: Connection, process_id: int) -> int:
    """A new writer; its number is never used again."""
    found = await connection.execute(
        "INSERT INTO writers (id, process_id) VALUES (nextval('writer_ids'), %s) RETURNING id", (process_id,)
    )
    return int(cast(Any, await found.fetchone())[0])


async def writer_exists(connection: Connection, writer_id: int) -> bool:
    """Whether the writer is still there; it stays so until the end of the transaction."""
    found = await connection.execute("SELECT FROM writers WHERE id = %s FOR KEY SHARE", (writer_id,))
    return await found.fetchone() is not None


async def require_writes(connection: Connection) -> None:
    """Write nothing, which a database that takes no writes refuses all the same: ReadOnlySqlTransaction."""
    await connection.execute("DELETE FROM writers WHERE false")


async def begin_traced(connection: Connection, settings: str) -> int:
    """Open a transaction; its number, by which `transaction_status` knows it."""
    cursor = await connection.execute(f"BEGIN; {settings}; SELECT pg_current_xact_id()::text")
    while cursor.nextset():
        pass
    return int(cast(Any, await cursor.fetchone())[0])


async def transaction_status(connection: Connection, xid: int) -> str | None:
    """committed, aborted or in progress; None: it was too long ago. DataError where it has not begun in this
    database."""
    found = await connection.execute("SELECT pg_xact_status(%s::xid8)", (str(xid),))
    return cast(str | None, cast(Any, await found.fetchone())[0])


async def is_counted(connection: Connection, writer_id: int, seq: int) -> bool | None:
    """Whether a writer has committed its flush of that number, its last one or the one before; None: it is not known.

    Also after its deltas have aged out, which they do only once they are folded.
    """
    found = await connection.execute(
        "SELECT folded_seq >= %(seq)s OR EXISTS (SELECT FROM deltas WHERE writer_id = id AND seq = %(seq)s)"
        " FROM writers WHERE id = %(id)s",
        {"id": writer_id, "seq": seq},
    )
    row = cast(Any, await found.fetchone())
    return None if row is None else bool(row[0])


async def claim(connection: Connection, claims: Sequence[tuple[bytes, bytes, bytes]], kept_s: int = 0) -> set[bytes]:
    """Insert (digest, body, answer), given in the order of digests; the digests that are ours now.

    They are kept `kept_s` seconds longer than others.
    """
    columns = [list(column) for column in zip(*claims, strict=True)]
    found = await connection.execute(
        "INSERT INTO idempotency (digest, body, answer, at)"
        " SELECT digest, body, answer, now() + make_interval(secs => %s)"
        " FROM unnest(%s::bytea[], %s::bytea[], %s::bytea[]) AS given(digest, body, answer) ORDER BY digest"
        " ON CONFLICT DO NOTHING RETURNING digest",
        [kept_s, *columns],
    )
    return {bytes(cast(Any, row)[0]) for row in await found.fetchall()}


async def stored_answers(connection: Connection, digests: Iterable[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
    """The body's hash and the first answer of each digest that was stored."""
    found = await connection.execute(
        "SELECT digest, body, answer FROM idempotency WHERE digest = ANY(%s)", (list(digests),)
    )
    rows = cast(Any, await found.fetchall())
    return {bytes(digest): (bytes(body), bytes(answer)) for digest, body, answer in rows}


async def copy_binary(connection: Connection, statement: str, rows: bytes) -> None:
    """One COPY of rows in PostgreSQL's binary format, header and trailer included."""
    async with connection.cursor() as cursor, cursor.copy(cast(Any, statement)) as copy:
        await copy.write(rows)
