"""Where flags are read, and what they were when they were read last."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

from server.tables.columns import Time, metadata

flag_sources = Table(
    "flag_sources",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("address", Text, nullable=False),  # sealed; '': its document is sent to us
    Column("host", Text, nullable=False),  # what is shown of it
    Column("header", Text, nullable=False),  # sealed: `Name: value`; '': none
    Column("created_by", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("removed_at", Time),
    Column("etag", Text, nullable=False, server_default=""),
    Column("flags", JSONB),  # by name, see Flag in server/changes/flags.py; null: not read yet
    Column("looked_at", Time),  # when it was last read
    Column("error", Text, nullable=False, server_default=""),  # of the last look
    Column("next_at", Time, nullable=False, server_default=func.now()),
)
Index(
    "flag_sources_name",
    flag_sources.c.service,
    func.lower(flag_sources.c.name),
    unique=True,
    postgresql_where=text("removed_at IS NULL"),
)
