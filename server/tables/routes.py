"""Patterns by which paths become routes."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text, func

from server.tables.columns import Time, metadata

route_patterns = Table(
    "route_patterns",
    metadata,
    Column("service", Text, primary_key=True),
    Column("pattern", Text, primary_key=True),  # see docs/connect/routes.md
    Column("author", Text, nullable=False),  # '' where it was learned
    Column("at", Time, nullable=False, server_default=func.now()),
)
