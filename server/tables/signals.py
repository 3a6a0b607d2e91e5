"""Signals: what other systems say is in trouble; and our silences as they stand there."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Identity, Index, Integer, Table, Text, func, text
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

alertmanagers = Table(  # where silences are written back: one at most that is not removed
    "alertmanagers",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("address", Text, nullable=False),  # sealed: it may hold a user name and a password
    Column("host", Text, nullable=False),  # what is shown of it
    Column("created_by", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("removed_at", Time),
    # within the table: it names no column by which it would be known to be of it
    Index("alertmanagers_one", text("(true)"), unique=True, postgresql_where=text("removed_at IS NULL")),
)

silence_copies = Table(  # written before anything is sent, claimed while it is
    "silence_copies",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("alertmanager_id", BigInteger, ForeignKey("alertmanagers.id"), nullable=False),
    Column("silence_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),  # of the label that names the service
    Column("remote_id", Text, nullable=False, server_default=""),  # its name there; '': not known to be there
    Column("ends_at", Time),  # as it was written; null: it was not
    Column("gone_at", Time),  # ended there, with ours
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", Time, nullable=False, server_default=func.now()),
    Column("claimed_until", Time),
    Column("error", Text, nullable=False, server_default=""),  # of the last try
)
Index(
    "silence_copies_one",
    silence_copies.c.alertmanager_id,
    silence_copies.c.silence_id,
    silence_copies.c.number,
    unique=True,
)
