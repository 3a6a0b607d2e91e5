"""Settings: revisions, what proves them, and staged ones."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from server.tables.columns import Time, metadata

revisions = Table(
    "revisions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("values", JSONB, nullable=False),  # list of {setting, scope, value, until}; see server/config/revisions.py
    Column("kind", Text, nullable=False),  # change, rollback, expiry
    Column("restores", Integer),  # the revision whose values these are, for a rollback
    Column("made_from", Integer),  # null: the one before it; an expiry while one is staged makes one of each
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("request_id", Text, nullable=False, server_default=""),
)

receipts = Table(
    "receipts",
    metadata,
    Column("process_id", BigInteger, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("applied_at", Time, nullable=False, server_default=func.now()),
    Column("applied", JSONB, nullable=False, server_default="{}"),  # each setting there; see config/revisions.py
)

rollouts = Table(  # a revision that reaches only some processes until it is promoted; see server/config/staged.py
    "rollouts",
    metadata,
    Column("revision", Integer, ForeignKey("revisions.number"), primary_key=True),  # as somebody made it
    Column("newest", Integer, ForeignKey("revisions.number"), nullable=False),  # its number now: expiry gives another
    Column("base", Integer, ForeignKey("revisions.number"), nullable=False),  # in force everywhere else
    Column("state", Text, nullable=False),  # running, paused, promoted, rolled_back
    Column("state_by", Text, nullable=False),
    Column("state_at", Time, nullable=False),
    Column("why", Text, nullable=False, server_default=""),  # why it ended
    Column("share", Double, nullable=False),  # of the web processes, above 0 and below 1
    Column("bake_s", Integer, nullable=False),
    Column("chosen", JSONB, nullable=False),  # {id of a process: since when it is one, Unix seconds}
    Column("known", ARRAY(Text), nullable=False),  # objectives that burned before, so that they do not end it
    Column("baked_s", Double, nullable=False, server_default="0"),
    Column("checked_at", Time),  # when the watch last looked
    Column("held", Text, nullable=False, server_default=""),  # why the bake clock stood then; empty: it ran
)
