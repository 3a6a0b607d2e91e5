"""Engine, pools and transactions.

Three roads that do not share lanes: `control` for pages, sign-in, acts and the
lease; `read` for questions, which are cut off after 10 s; and the writers' own
connections (server/kernel/connection.py). When one is full the others keep working.
The pools may go through a pooler in transaction mode; the own connections go around
it where DATABASE_DIRECT_URL says how.
"""

from __future__ import annotations

import errno
import functools
import logging
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

import psycopg
from psycopg import BaseConnection
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, event, text
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from server.kernel.pool_sizes import LEAST, MOST, PoolSizes

# A process frozen inside a transaction must not hold the lease or a key for longer (TRAPS: Lease).
IDLE_IN_TRANSACTION = "2s"
# What every session holds to, as PostgreSQL writes it back. A wait for a lock ends before whoever waits gives up.
LIMITS = {"statement_timeout": "10s", "lock_timeout": "3s"}
ACT = {"statement_timeout": "5s"}
# Work on partitions waits for all who read, and stops nobody meanwhile.
WORK = {"statement_timeout": "1h", "lock_timeout": "1min"}
KEPT = min(LEAST)  # connections that a pool keeps open
ACT_WAIT_S = 10.0
ASK_WAIT_S = 5.0
POOLER = "A pooler may drop them: see Limits in docs/deploy.md."
AWAY = (SQLAlchemyError, psycopg.Error, OSError)  # what is raised while the database is away; also TimeoutError
NO_ANSWER = (psycopg.OperationalError, OperationalError)  # of them, what is no fault of the question
SQLALCHEMY = "postgresql+psycopg://"  # the rest of the address is in connect_args
BACKEND = "SELECT pg_backend_pid()"
DISK_FULL = "53100"
# Whether it is a coordinator of Citus, over whose workers outcomes may be spread (server/distribute).
HAS_CITUS = "SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL"
# Of a connection of our own: one connection to each worker. A COPY that opens one a shard takes ten times as long.
# PostgreSQL without Citus takes the name for somebody's own.
ONE_EXECUTOR = {"citus.max_adaptive_executor_pool_size": "1"}
OVERTAKEN = ("40001", "40P01")  # serialisation failure, deadlock

log = logging.getLogger("evenkeel.db")


class Overtaken(Exception):
    """Somebody else came between; try again later."""


class Database:
    """The pools of one process. Make it inside the running event loop; `close` it there."""

    def __init__(
        self, url: str, name: str = "evenkeel", direct_url: str | None = None, outcomes_url: str | None = None
    ) -> None:
        self.url = url
        self.apart = Database(outcomes_url, name) if outcomes_url else None  # where outcomes are; None: here
        self.direct_url = direct_url  # around a pooler; None: `url` leads there
        self.name = name[:60]
        self.unlimited: dict[str, str] = {}  # by road: which limit does not hold there
        self.control = self._engine("control", ACT, ACT_WAIT_S)
        self.read = self._engine("read", {}, ASK_WAIT_S)
        self.fit(MOST)  # until it is known what the server lets in

    def _engine(self, road: str, limits: Mapping[str, str], wait_s: float) -> AsyncEngine:
        engine = create_async_engine(
            SQLALCHEMY,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=KEPT,
            pool_timeout=wait_s,
            pool_recycle=600,
            hide_parameters=True,  # an error that is logged carries no e-mail address and no digest
            connect_args=connect_args(self.url) | {"connect_timeout": 3, "application_name": f"{self.name} {road}"},
        )
        # Without JIT: compiling takes longer than any question here.
        limit(engine.sync_engine, functools.partial(self.read_back, road), **limits, jit="off")
        return engine

    def fit(self, sizes: PoolSizes) -> None:
        """Let the pools grow so far from now on; what is above that is closed as it is given back."""
        for engine, most in zip((self.control, self.read), sizes, strict=True):
            engine.pool._max_overflow = most - KEPT  # type: ignore[attr-defined]  # SQLAlchemy only takes it at the start

    @asynccontextmanager
    async def act(self) -> AsyncIterator[AsyncConnection]:
        """One transaction on the control pool: committed on leaving, rolled back on an exception."""
        async with self.control.begin() as connection:
            yield connection

    @asynccontextmanager
    async def ask(self) -> AsyncIterator[AsyncConnection]:
        """One snapshot (REPEATABLE READ, read only) on the read pool, for questions."""
        async with self.read.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                yield connection

    async def in_bites(self, drop: Callable[[AsyncConnection], Awaitable[int]], bite: int) -> None:
        """Call `drop`, which deletes at most `bite` rows and says how many, a transaction each, until few are left."""
        dropped = bite
        while dropped >= bite:
            async with self.act() as connection:
                dropped = await drop(connection)

    @property
    def of_outcomes(self) -> Database:
        """The database that outcomes are in."""
        return self.apart or self

    @asynccontextmanager
    async def rows_beside(self, connection: AsyncConnection) -> AsyncIterator[AsyncConnection]:
        """Where outcomes are read: the connection itself, or a snapshot of the outcomes' own database."""
        if self.apart is None:
            yield connection
        else:
            async with self.apart.ask() as rows:
                yield rows

    @asynccontextmanager
    async def rows_if_there(self, connection: AsyncConnection) -> AsyncIterator[AsyncConnection | None]:
        """The same; None while the outcomes' own database is away, for what is of use without them."""
        async with AsyncExitStack() as stack:
            rows = None
            try:
                rows = await stack.enter_async_context(self.rows_beside(connection))
            except AWAY:
                if self.apart is None:
                    raise
            yield rows

    @asynccontextmanager
    async def rewrite(self) -> AsyncIterator[AsyncConnection]:
        """One transaction of one snapshot (REPEATABLE READ) on the control pool, for what is made anew from it.

        Raises Overtaken where somebody has changed meanwhile what it changes; then nothing was done.
        """
        async with self.control.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            try:
                async with connection.begin():
                    yield connection
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) in OVERTAKEN:
                    raise Overtaken(str(error.orig)) from error
                raise

    async def raw(self, purpose: str, **settings: str) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        """A psycopg connection outside the pools, in autocommit; the caller owns and closes it: see `connection`.

        `settings` beside those of every session.
        """
        connection = await psycopg.AsyncConnection.connect(
            self.direct_url or self.url,
            autocommit=True,
            connect_timeout=3,
            application_name=f"{self.name} {purpose}",
        )
        try:
            found = await (await connection.execute(BACKEND)).fetchone()
            tell_if_pooled(connection, found)
            await self._limit(connection, purpose, session_settings() | settings)
        except BaseException:
            await connection.close()
            raise
        return connection

    def read_back(self, road: str, limits: Mapping[str, str], found: Any) -> None:
        """Say where the limits that were set do not hold: a pooler may drop them, and tells nobody."""
        wrong = unlike(limits, found)
        if wrong and self.unlimited.get(road) != wrong:
            log.error("limits do not hold in %s: %s. %s", road, wrong, POOLER)
        self.unlimited.pop(road, None)
        if wrong:
            self.unlimited[road] = wrong

    async def _limit(self, connection: psycopg.AsyncConnection[Any], purpose: str, limits: Mapping[str, str]) -> None:
        """A pooler gives the next transaction to another session: there, transactions limit themselves; we try one."""
        behind = pooled(connection)
        set_them = f"BEGIN; {setting('SET LOCAL', limits)}" if behind else setting("SET", {**limits, **ONE_EXECUTOR})
        await connection.execute(set_them)
        self.read_back(purpose, limits, await (await connection.execute(read(limits))).fetchone())
        if behind:
            await connection.execute("COMMIT; SET timezone = 'UTC'")

    async def close(self) -> None:
        """Close the pools; transactions in flight are rolled back by the server."""
        await self.control.dispose()
        await self.read.dispose()
        if self.apart is not None:
            await self.apart.close()


def why_away(error: BaseException) -> str:
    """What keeps the database from doing what was asked, as a sentence."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if getattr(cause, "sqlstate", None) == DISK_FULL or getattr(cause, "errno", None) == errno.ENOSPC:
        return "The disk is full: nothing more can be stored until there is room."
    return "The database does not answer."


def connect_args(url: str) -> dict[str, Any]:
    """A libpq URL as SQLAlchemy hands it to psycopg; its own kind of URL knows no second host."""
    return dict(conninfo_to_dict(url))


def pooled(connection: BaseConnection[Any]) -> bool:
    """Whether a pooler stands between: then a session ends with its transaction. Of a connection made here."""
    return connection.prepare_threshold is None


def tell_if_pooled(connection: BaseConnection[Any], backend: Any) -> None:
    """Prepare no statements where the process that answers is not the one that we were told of at the start."""
    if tuple(backend) != (connection.info.backend_pid,):
        connection.prepare_threshold = None


@functools.cache
def plain(statement: str) -> str:
    """A statement of a store, which has `:name`, as a connection takes it without SQLAlchemy: `%(name)s`.

    For what a process asks each second: a transaction by the pools costs it twenty times as much.
    """
    return str(text(statement).compile(dialect=psycopg_dialect.dialect()))  # type: ignore[no-untyped-call]


def session_settings() -> dict[str, str]:
    return LIMITS | {"idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION, "timezone": "UTC"}


def setting(word: Literal["SET", "SET LOCAL"], values: Mapping[str, str]) -> str:
    """SQL that gives each setting its value: for the session, or for the transaction."""
    return "; ".join(f"{word} {name} = '{value}'" for name, value in values.items())


def local(connection: BaseConnection[Any], **settings: str) -> str:
    """SQL by which a transaction limits itself: pooled, by all, whatever session it is given; else by what differs."""
    return setting("SET LOCAL", session_settings() | settings if pooled(connection) else settings)


def ended(connection: BaseConnection[Any]) -> bool:
    """Whether the server has ended a connection that nobody uses: that it says so, or hangs up, is there to be read."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def read(limits: Mapping[str, str]) -> str:
    """SQL that asks what holds now."""
    return "SELECT " + ", ".join(f"current_setting('{name}')" for name in limits)


def unlike(limits: Mapping[str, str], found: Sequence[str]) -> str:
    """Which settings do not hold, as `lock_timeout is 0 and not 3s`; empty: all do. `found`: what was read back."""
    pairs = zip(limits.items(), found, strict=True)
    return ", ".join(f"{name} is {is_now} and not {meant}" for (name, meant), is_now in pairs if is_now != meant)


def tell(limits: Mapping[str, str], found: Sequence[str]) -> None:
    """As Database.read_back, for a single connection."""
    if wrong := unlike(limits, found):
        log.error("limits do not hold: %s. %s", wrong, POOLER)


def limit(
    engine: Engine, read_back: Callable[[Mapping[str, str], Sequence[str]], None] = tell, **settings: str
) -> None:
    """Give what the engine does these settings beside those of every session: once, or, pooled, in each transaction.

    `read_back` is told what was set and what then holds. A connection is looked at before it is used again, which
    asks the server nothing: a question each time would be every fourth that an idle process sends.
    """

    @event.listens_for(engine, "checkout")
    def taken(connection: Any, record: Any, proxy: Any) -> None:
        if record.driver_connection.closed or ended(record.driver_connection):
            raise InvalidatePoolError  # and of all that are as old: a server that starts again ends them together

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(BACKEND)
        tell_if_pooled(record.driver_connection, cursor.fetchone())
        limits = session_settings() | settings
        if pooled(record.driver_connection):
            cursor.execute(setting("SET LOCAL", limits))
        else:
            cursor.execute(setting("SET", limits))
            connection.commit()
        cursor.execute(read(limits))
        read_back(limits, cursor.fetchone())
        cursor.close()
        connection.commit()

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        driver = connection.connection.driver_connection
        if pooled(driver):
            cursor = connection.connection.cursor()
            cursor.execute(local(driver, **settings))
            cursor.close()
