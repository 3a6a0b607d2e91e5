"""Where the deploys of services are paused and rolled back, and what was asked of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, Integer, Table, Text, func, text

from server.tables.columns import Time, metadata

deploy_targets = Table(  # one a service
    "deploy_targets",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("service", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # see server/changes/adapters
    Column("address", Text, nullable=False),
    Column("secret", Text, nullable=False, server_default=""),  # sealed
    Column("created_by", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
)

deploy_acts = Table(  # written before anything is sent, claimed while it is
    "deploy_acts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("incident_id", BigInteger, ForeignKey("incidents.id"), nullable=False),
    Column("act", Text, nullable=False),  # pause, resume, roll_back
    Column("service", Text, nullable=False),
    Column("version", Text, nullable=False, server_default=""),  # that it goes back to
    Column("rolls_back", Text, nullable=False, server_default=""),
    Column("change_id", BigInteger),
    Column("state", Text, nullable=False),  # waiting, by_hand, done, failed
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Time, nullable=False),
    Column("ended_at", Time),
    Column("command", Text, nullable=False, server_default=""),  # what a person types instead
    Column("receipt", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("next_at", Time, nullable=False, server_default=func.now()),
    Column("claimed_until", Time),
)
Index("deploy_acts_incident_id", deploy_acts.c.incident_id)
Index("deploy_acts_service", deploy_acts.c.service, deploy_acts.c.id)
Index("deploy_acts_waiting", deploy_acts.c.next_at, postgresql_where=text("state = 'waiting'"))
