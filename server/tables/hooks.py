"""Hooks: what platforms sign with that tell of changes."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Column, Identity, Index, Table, Text, func, text

from server.tables.columns import Time, metadata

hooks = Table(
    "hooks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("services", ARRAY(Text), nullable=False),  # that it may tell of; empty: every
    Column("secret", Text, nullable=False),  # sealed
    Column("created_by", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("used_at", Time),  # when something was last signed with it, to the minute
    Column("removed_at", Time),
)
Index("hooks_name", func.lower(hooks.c.name), unique=True, postgresql_where=text("removed_at IS NULL"))
