"""Objectives, their ledgers, and what the gate let through against the policy."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

from server.tables.columns import Time, metadata

policy_revisions = Table(
    "policy_revisions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),  # the YAML as read
    Column("digest", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("at", Time, nullable=False, server_default=func.now()),
)

objectives = Table(
    "objectives",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("indicator", Text, nullable=False),  # digest of what is counted; another one starts another ledger
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("counted", Boolean, nullable=False, server_default="false"),  # the last fold added to its ledger
    Column("exact_since", Time),  # the ledger is exact from here; null: since created_at
    UniqueConstraint("name", "indicator", name="objectives_key"),
)

ledger_minutes = Table(
    "ledger_minutes",
    metadata,
    Column("objective_id", Integer, ForeignKey("objectives.id"), primary_key=True),
    Column("minute", Time, primary_key=True),
    Column("good", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("excluded", BigInteger, nullable=False),
)

ledger_hours = Table(
    "ledger_hours",
    metadata,
    Column("objective_id", Integer, ForeignKey("objectives.id"), primary_key=True),
    Column("hour", Time, primary_key=True),
    Column("good", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("excluded", BigInteger, nullable=False),
)

recounts = Table(  # what of a ledger is still to be made from what is kept: [start, stop), the newest hour first
    "recounts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("objective_id", Integer, ForeignKey("objectives.id"), nullable=False),
    Column("start", Time, nullable=False),
    Column("stop", Time, nullable=False),
    Column("reason", Text, nullable=False),  # new, unmeasured
)
Index("recounts_objective_id", recounts.c.objective_id)

exclusions = Table(  # what people took out of the ledgers: whole minutes [start, stop) of one service
    "exclusions",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("service", Text, nullable=False),
    Column("route", Text, nullable=False, server_default=""),  # '': any
    Column("version", Text, nullable=False, server_default=""),
    Column("method", Text, nullable=False, server_default=""),
    Column("start", Time, nullable=False),
    Column("stop", Time, nullable=False),
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("revoked_at", Time),
    Column("revoked_by", Text, nullable=False, server_default=""),
    Column("maintenance_id", BigInteger),  # the maintenance window that it is of
)
Index("exclusions_service", exclusions.c.service, exclusions.c.stop)
Index("exclusions_maintenance_id", exclusions.c.maintenance_id, postgresql_where=text("maintenance_id IS NOT NULL"))

ledger_left_out = Table(  # what of a ledger's minute exclusions take out: part of its good and bad
    "ledger_left_out",
    metadata,
    Column("objective_id", Integer, ForeignKey("objectives.id"), primary_key=True),
    Column("minute", Time, primary_key=True),
    Column("good", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
)

ledger_late = Table(  # what of a ledger's minute came too late to say anything of now, or was imported
    "ledger_late",
    metadata,
    Column("objective_id", Integer, ForeignKey("objectives.id"), primary_key=True),
    Column("minute", Time, primary_key=True),
    Column("good", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
)

objective_events = Table(  # of each objective since it is kept: only ever added to, for Prometheus
    "objective_events",
    metadata,
    Column("objective_id", Integer, ForeignKey("objectives.id"), primary_key=True),
    Column("good", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
)

gate_overrides = Table(  # a deny of the gate that somebody lifted, with why and until when
    "gate_overrides",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("service", Text, nullable=False),
    Column("kind", Text, nullable=False),  # of change
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time, nullable=False),
    Column("revoked_at", Time),
    Column("revoked_by", Text, nullable=False, server_default=""),
)
Index("gate_overrides_service", gate_overrides.c.service, gate_overrides.c.expires_at)
