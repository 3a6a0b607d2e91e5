"""Alerts, silences, and who is told."""

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

alerts = Table(  # one open alert an objective at most
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("objective", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("state", Text, nullable=False),  # pending, firing, resolving, resolved
    Column("urgency", Text, nullable=False),  # page, ticket: the highest so far
    Column("tier", Text, nullable=False),  # the tier that holds now, or held last
    Column("severity", SmallInteger, nullable=False),  # 1 to 3, the worst so far
    Column("onset", Time, nullable=False),  # of the first outage: the first bad second, estimated
    Column("onset_method", Text, nullable=False),
    Column("detected_at", Time, nullable=False),
    Column("fired_at", Time),
    Column("notified_at", Time),
    Column("acknowledged_at", Time),
    Column("acknowledged_by", Text, nullable=False, server_default=""),
    Column("acknowledged_as", Text),  # the urgency that it had then
    Column("clear_since", Time),
    Column("resolved_at", Time),
    Column("fired_times", Integer, nullable=False, server_default="0"),
    Column("flapping", Boolean, nullable=False, server_default="false"),
    Column("suppressed_by", BigInteger),  # the alert of a dependency that explains this one
    Column("silence_id", Integer),  # the silence that keeps it quiet
    Column("told", Text),  # page, ticket: the highest urgency told of this firing; null: nobody was told
    Column("firings", JSONB, nullable=False, server_default="[]"),  # Unix seconds, of the last hour: what flaps
    Column("tier_at", Time),  # when the tier was last told of
    Column("calmed", Boolean, nullable=False, server_default="false"),  # one that flaps was clear for long, see machine
    Column("returned_at", Time),  # since when it is back after that, while nobody was told
    Column("evidence", JSONB, nullable=False),  # the last Evidence that said anything; see server/slo/model/status.py
    Column("updated_at", Time, nullable=False, server_default=func.now()),
    Column("again", JSONB),  # how the outage that is not the first began; see Beginning in server/alerts/alert.py
    Column("over_at", Time),  # when the last outage seems to have ended; resolved_at is when that was sure
    Column("recovery", JSONB),  # what says so, until it is sure
)
Index("alerts_open", alerts.c.objective, unique=True, postgresql_where=text("state <> 'resolved'"))
Index("alerts_detected_at", alerts.c.detected_at)

alert_outages = Table(  # those that another followed under the same alert, whose row has the last one
    "alert_outages",
    metadata,
    Column("alert_id", BigInteger, ForeignKey("alerts.id"), primary_key=True),
    Column("number", Integer, primary_key=True),  # 1 is the first
    Column("service", Text, nullable=False),
    Column("objective", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("onset", Time, nullable=False),
    Column("onset_method", Text, nullable=False),
    Column("detected_at", Time, nullable=False),
    Column("fired_at", Time),
    Column("notified_at", Time),
    Column("acknowledged_at", Time),
    Column("acknowledged_by", Text, nullable=False, server_default=""),
    Column("over_at", Time),
    Column("resolved_at", Time),
)
Index("alert_outages_detected_at", alert_outages.c.detected_at)

alert_events = Table(  # what became of an alert, in order
    "alert_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("alert_id", BigInteger, ForeignKey("alerts.id"), nullable=False),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("author", Text, nullable=False),
)
Index("alert_events_alert_id", alert_events.c.alert_id, alert_events.c.id)

silences = Table(
    "silences",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("service", Text, nullable=False, server_default=""),  # '': any
    Column("objective", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("ends_at", Time, nullable=False),
    Column("ended_at", Time),  # ended early, by hand
    Column("ended_by", Text, nullable=False, server_default=""),
    Column("matchers", JSONB, nullable=False, server_default="[]"),  # see server/alerts/matcher.py
    Column("maintenance_id", BigInteger),  # the maintenance window that it is of
)
Index("silences_ends_at", silences.c.ends_at)
Index("silences_maintenance_id", silences.c.maintenance_id, postgresql_where=silences.c.maintenance_id.is_not(None))

targets = Table(  # where alerts go
    "targets",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # the name of a file of server/notify/kinds
    Column("address", Text, nullable=False),  # a URL, or an e-mail address; for pagerduty the events URL
    Column("secret", Text, nullable=False, server_default=""),  # sealed: signs webhooks; the routing key of pagerduty
    Column("inbound_secret", Text, nullable=False, server_default=""),  # sealed: what pagerduty signs with
    Column("step", SmallInteger, nullable=False, server_default="1"),  # 1 is told first, 2 when nobody acknowledged
    Column("created_by", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("removed_at", Time),
)
Index("targets_name", func.lower(targets.c.name), unique=True, postgresql_where=text("removed_at IS NULL"))

notifications = Table(  # the outbox: written with what it tells of, sent after the commit
    "notifications",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("alert_id", BigInteger, ForeignKey("alerts.id")),  # null: of an incident or a window, or a test message
    Column("target_id", Integer, ForeignKey("targets.id"), nullable=False),
    Column("event", Text, nullable=False),  # see Event in server/notify/message.py
    Column("dedup_key", Text, nullable=False, unique=True),  # one row, one delivery
    Column("body", JSONB, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("next_at", Time, nullable=False, server_default=func.now()),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("claimed_until", Time),
    Column("sent_at", Time),
    Column("gave_up_at", Time),
    Column("refused_since", Time),  # the first of the tries in a row that were refused as wrong
    Column("last_error", Text, nullable=False, server_default=""),
    Column("incident_id", BigInteger),
    Column("maintenance_id", BigInteger),
)
Index(
    "notifications_due",
    notifications.c.next_at,
    postgresql_where=text("sent_at IS NULL AND gave_up_at IS NULL"),
)
Index("notifications_alert_id", notifications.c.alert_id)
Index(
    "notifications_incident_id", notifications.c.incident_id, postgresql_where=notifications.c.incident_id.is_not(None)
)
Index(
    "notifications_maintenance_id",
    notifications.c.maintenance_id,
    postgresql_where=notifications.c.maintenance_id.is_not(None),
)
