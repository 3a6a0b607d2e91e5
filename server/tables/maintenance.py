"""Maintenance windows: time set ahead in which people work on services."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY

from server.tables.columns import Time, metadata

maintenance_windows = Table(
    "maintenance_windows",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("services", ARRAY(Text), nullable=False),  # sorted
    Column("start", Time, nullable=False),  # whole minutes [start, stop), as planned
    Column("stop", Time, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expected", Text, nullable=False, server_default=""),  # what is to be seen of it
    Column("author", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("started_at", Time),  # null: it has not begun
    Column("ended_at", Time),  # with started_at null: it was cancelled
    Column("ended_by", Text, nullable=False, server_default=""),  # '': by its time
    Column("change_id", BigInteger),  # what Changes and the charts show of it
)
Index("maintenance_windows_open", maintenance_windows.c.start, postgresql_where=text("ended_at IS NULL"))
