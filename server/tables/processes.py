"""Processes, the lease of the watch, and the picture that it makes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Identity, Integer, LargeBinary, Table, Text, func

from server.tables.columns import Time, metadata

processes = Table(
    "processes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),  # web, watch
    Column("name", Text, nullable=False),  # web.1; with several machines host/web.1 is unique
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Time, nullable=False, server_default=func.now()),
    Column("heartbeat_at", Time, nullable=False, server_default=func.now()),
    Column("stopped_at", Time),  # set by an orderly stop
    Column("queue_items", Integer, nullable=False, server_default="0"),
    Column("queue_bytes", BigInteger, nullable=False, server_default="0"),
    Column("loop_lag_ms", Double, nullable=False, server_default="0"),
    Column("rss_bytes", BigInteger, nullable=False, server_default="0"),
    Column("policy_file", Text, nullable=False, server_default=""),  # digest of the file with the objectives there
    Column("flush_items", Integer, nullable=False, server_default="0"),  # that its next flush may take; 0: it has none
    Column("clock_ahead_s", Double, nullable=False, server_default="0"),  # its machine's clock, of the database's
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),  # one row: 'watch'
    Column("process_id", BigInteger),
    Column("term", BigInteger, nullable=False, server_default="0"),
    Column("renewed_at", Time),
)

picture = Table(  # unlogged: rebuilt by the watch within a second
    "picture",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("term", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", Time, nullable=False),
    Column("body", LargeBinary, nullable=False),
    prefixes=["UNLOGGED"],
)

kept_pictures = Table(  # one each 5 s in which an incident was open, without what people wrote
    "kept_pictures",
    metadata,
    Column("at", Time, primary_key=True),  # when it was made
    Column("body", LargeBinary, nullable=False),  # JSON, deflated
)
