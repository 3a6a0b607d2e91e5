"""What keeps a database from answering: of one failure, and as a question that comes back each second finds it."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from server.kernel import shared_clock

Trouble = Literal["lost", "slow", "read_only", "failing_over", "no_connections", "disk_full", "old_schema"]

SLOW_S = 2.0  # a question that has not been answered for so long
SILENT_S = 5.0  # and for so long: it does not answer at all

ANSWERS = ("22", "23")  # classes of what it refuses for its content
STATES: dict[str, Trouble] = {
    "25006": "read_only",
    "53100": "disk_full",
    "53300": "no_connections",
    "57P03": "failing_over",
    "57014": "slow",
    "55P03": "slow",
    "42P01": "old_schema",
    "42703": "old_schema",
}
# Of a connection that was refused libpq gives the words alone; with several hosts, those of each.
WORDS: tuple[tuple[str, Trouble], ...] = (
    (r"session is read-only|server is in hot standby|not read-only|not in hot standby", "failing_over"),
    (r"starting up|shutting down|recovery mode|not yet accepting connections", "failing_over"),
    (r"too many (clients|connections)|connection slots are reserved", "no_connections"),
)


def trouble_of(error: BaseException) -> Trouble | None:
    """What a failure says of the database; `lost` where it says no more, None where it is none of the database."""
    cause = (error.orig or error) if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.Error):
        if cause.sqlstate:
            return None if cause.sqlstate.startswith(ANSWERS) else STATES.get(cause.sqlstate, "lost")
        said = str(cause)
        return next((trouble for words, trouble in WORDS if re.search(words, said)), "lost")
    if getattr(cause, "errno", None) == errno.ENOSPC:
        return "disk_full"
    return "slow" if isinstance(cause, TimeoutError | PoolTimeout) else "lost"


class DatabaseTrouble:
    """What keeps the database from answering this process. Times are Unix seconds by the database's clock.

    `clock`, in seconds, says how long it lets us wait: that of a LoopClock, so that our own delay is not its.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: Trouble | None = None
        self._failed = False  # the last question
        self._since = 0.0
        self._asked: float | None = None  # by the clock, of a question that is not answered yet

    @contextmanager
    def asking(self) -> Iterator[None]:
        """A question; an exception says that it was not answered, and why."""
        self._asked = began = self._clock()
        try:
            yield
        except BaseException as error:
            trouble, took_s = trouble_of(error), self._clock() - began
            self.found("lost" if trouble == "slow" and took_s > SILENT_S else trouble, took_s)
            raise
        else:
            took_s = self._clock() - began
            self.found("slow" if took_s > SLOW_S else None, took_s)
        finally:
            self._asked = None

    def found(self, trouble: Trouble | None, before_s: float = 0.0) -> None:
        """What a question that was asked so many seconds ago has found; None: it was answered.

        A connection that was cut is made anew by the next question: that it was lost once is no trouble.
        """
        first, self._failed = not self._failed, trouble is not None
        if trouble is not None and first:
            self._since = shared_clock.now() - before_s
        self._found = None if trouble == "lost" and first and before_s < SLOW_S else trouble

    def now(self) -> tuple[Trouble, float] | None:
        """What it is, and since when; None: it answers."""
        if self._found is not None:
            return self._found, self._since
        waited_s = 0.0 if self._asked is None else self._clock() - self._asked
        if waited_s < SLOW_S:
            return None
        return ("lost" if waited_s > SILENT_S else "slow"), shared_clock.now() - waited_s
