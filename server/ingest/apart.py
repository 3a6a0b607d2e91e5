"""Outcomes in a database of their own (OUTCOMES_DATABASE_URL): in both, or counted in neither.

A flush opens its transaction in the main database, commits the rows with a mark in the other, then commits what
counts them, and answers last. Where it ends in between, rows are left whose mark names a transaction that was never
committed: they are swept away here. What is sent again is stored anew, under a mark of its own.
"""

from __future__ import annotations

import logging

import psycopg

from server.ingest import apart_store, store
from server.kernel.connection import Connection, opened
from server.kernel.db import WORK, Database

log = logging.getLogger("evenkeel.ingest")

AFTER_S = 20.0  # longer than a flush may take


async def settle_marks(db: Database, after_s: float = AFTER_S) -> None:
    """Forget the marks of what was counted, and delete the rows of what was not.

    Of a transaction that is too long ago to know, the rows stay.
    """
    if db.apart is None:
        return
    swept = 0
    async with opened(db, "marks") as main, opened(db.apart, "marks", **WORK) as apart:
        while found := await apart_store.marks(apart, after_s):
            became = [(mark, await became_of(main, mark)) for mark in found]
            for mark, status in became:
                if status == "aborted":
                    swept += await apart_store.sweep(apart, mark)
            await apart_store.forget(apart, [mark for mark, status in became if status in ("committed", None)])
            if len(found) < apart_store.BITE or all(status == "in progress" for _, status in became):
                break
    if swept:
        log.warning("%d outcomes that were never acknowledged are swept out of the outcomes' database", swept)


async def became_of(main: Connection, xid: int) -> str | None:
    """committed, aborted or in progress; None: it is too long ago to know."""
    try:
        return await store.transaction_status(main, xid)
    except psycopg.DataError:  # it never came so far: restored to a moment before, or failed over without its end
        return "aborted"
