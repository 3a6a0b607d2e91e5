"""Signals: what other systems say is in trouble."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Identity, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from server.tables.columns import Time, metadata

signals = Table(  # what fires again after its end is another row
    "signals",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("sender", Text, nullable=False),  # the name of the key
    Column("fingerprint", Text, nullable=False),
    Column("group_key", Text, nullable=False),  # in which it was told last
    Column("name", Text, nullable=False),
    Column("service", Text, nullable=False),  # '' where it names none
    Column("severity", Text, nullable=False),
    Column("opens", Boolean, nullable=False),  # whether it may open an incident
    Column("labels", JSONB, nullable=False),
    Column("summary", Text, nullable=False),
    Column("link", Text, nullable=False),
    Column("state", Text, nullable=False),  # firing, ended, absent
    Column("starts_at", Time, nullable=False),
    Column("first_heard_at", Time, nullable=False),
    Column("heard_at", Time, nullable=False),
    Column("over_at", Time),
    Column("incident_id", BigInteger, ForeignKey("incidents.id")),
    Column("joined_at", Time),
)
Index("signals_firing", signals.c.sender, signals.c.fingerprint, unique=True, postgresql_where=text("state = 'firing'"))
Index("signals_told", signals.c.sender, signals.c.fingerprint, signals.c.id)
Index(
    "signals_waiting",
    signals.c.service,
    postgresql_where=text("state = 'firing' AND incident_id IS NULL"),
)
Index("signals_incident_id", signals.c.incident_id, postgresql_where=text("incident_id IS NOT NULL"))
Index("signals_heard_at", signals.c.heard_at)
