"""Incidents: how they stand, which alerts are in them, who commands, what was said and done."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from server.tables.columns import Time, metadata

incidents = Table(
    "incidents",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("state", Text, nullable=False),  # see server/incidents/moves.py
    Column("severity", SmallInteger, nullable=False),  # 1 to 3
    Column("title", Text, nullable=False),
    Column("service", Text, nullable=False),  # where it was seen first
    Column("source", Text, nullable=False),  # alert, person, signal
    Column("onset", Time, nullable=False),  # as it is believed now; as it was estimated stands in `captured`
    Column("onset_method", Text, nullable=False),
    Column("detected_at", Time, nullable=False),
    Column("declared_at", Time),
    Column("mitigated_at", Time),  # the failure was first held back
    Column("over_at", Time),  # the failure seems to have ended
    Column("resolved_at", Time),
    Column("closed_at", Time),
    Column("update_due_at", Time),  # when people outside are to be told again; null: nobody waits
    Column("captured", JSONB, nullable=False),  # see Captured in server/incidents/incident.py
    Column("declined", Text, nullable=False, server_default=""),  # why it is none
    Column("merged_into", BigInteger),
    Column("drill", Boolean, nullable=False, server_default="false"),
    Column("root_cause", Text, nullable=False, server_default=""),
    Column("cause_class", Text, nullable=False, server_default="unknown"),
    Column("went_well", Text, nullable=False, server_default=""),
    Column("updated_at", Time, nullable=False, server_default=func.now()),
)
Index("incidents_open", incidents.c.service, postgresql_where=text("state NOT IN ('resolved', 'closed')"))
Index("incidents_detected_at", incidents.c.detected_at)

incident_alerts = Table(  # an outage of an alert belongs to one incident
    "incident_alerts",
    metadata,
    Column("alert_id", BigInteger, ForeignKey("alerts.id"), primary_key=True),
    Column("outage", Integer, primary_key=True),
    Column("incident_id", BigInteger, ForeignKey("incidents.id"), nullable=False),
    Column("joined_at", Time, nullable=False, server_default=func.now()),
)
Index("incident_alerts_incident_id", incident_alerts.c.incident_id)

incident_entries = Table(  # the timeline, append-only; what alerts and changes say of themselves is joined when read
    "incident_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", BigInteger, ForeignKey("incidents.id"), nullable=False),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("link", Text, nullable=False, server_default=""),
    Column("corrects", BigInteger),  # the entry that this one stands for
    Column("key", Text),  # what is sent under it twice was meant once
)
Index("incident_entries_incident_id", incident_entries.c.incident_id, incident_entries.c.id)
Index(
    "incident_entries_key",
    incident_entries.c.incident_id,
    incident_entries.c.key,
    unique=True,
    postgresql_where=text("key IS NOT NULL"),
)

incident_roles = Table(
    "incident_roles",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", BigInteger, ForeignKey("incidents.id"), nullable=False),
    Column("role", Text, nullable=False),  # commander, deputy, communications, scribe
    Column("person", Text, nullable=False),
    Column("since", Time, nullable=False),
    Column("until", Time),
)
Index(
    "incident_roles_held",
    incident_roles.c.incident_id,
    incident_roles.c.role,
    unique=True,
    postgresql_where=text("until IS NULL"),
)

incident_tasks = Table(
    "incident_tasks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", BigInteger, ForeignKey("incidents.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("due_at", Time, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("done_at", Time),
    Column("done_by", Text, nullable=False, server_default=""),
    Column("result", Text, nullable=False, server_default=""),
)
Index("incident_tasks_incident_id", incident_tasks.c.incident_id)

incident_steps = Table(  # of the runbook's steps those that something has happened to
    "incident_steps",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", BigInteger, ForeignKey("incidents.id"), nullable=False),
    Column("step", Text, nullable=False),  # its id in the runbook
    Column("text", Text, nullable=False),  # as it was worded then
    Column("state", Text, nullable=False),  # see StepState in server/incidents/verification.py
    Column("began_at", Time, nullable=False),
    Column("held_since", Time),
    Column("good", BigInteger, nullable=False, server_default="0"),
    Column("counted_to", BigInteger, nullable=False, server_default="0"),  # Unix seconds
    Column("reading", Text, nullable=False, server_default=""),
    Column("decided_at", Time),
    Column("decided_by", Text, nullable=False, server_default=""),  # who has overridden or done it
    Column("reason", Text, nullable=False, server_default=""),
    Column("owner", Text, nullable=False, server_default=""),  # whom it was given to as a task
)
Index("incident_steps_step", incident_steps.c.incident_id, incident_steps.c.step, unique=True)

preventive_actions = Table(  # what is to be done so that it does not happen again
    "preventive_actions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", BigInteger, ForeignKey("incidents.id"), nullable=False),
    Column("title", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),  # 0 is the most urgent
    Column("due_at", Time, nullable=False),
    Column("link", Text, nullable=False, server_default=""),  # in a tracker
    Column("created_at", Time, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("done_at", Time),
    Column("done_by", Text, nullable=False, server_default=""),
)
Index("preventive_actions_incident_id", preventive_actions.c.incident_id)

incident_viewers = Table(  # who has a room open, told anew every few seconds
    "incident_viewers",
    metadata,
    Column("incident_id", BigInteger, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("seen_at", Time, nullable=False, server_default=func.now()),
    prefixes=["UNLOGGED"],
)
