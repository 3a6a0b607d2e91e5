"""Every table.

Times are timestamptz. Durations are whole microseconds. `bigint[]` columns named
`sketch`, `fast`, `slow`, `sizes` hold packed pairs, `key << 32 | count`, sorted by key
(see server/live/pairs.py): a sketch maps bucket to count, `fast` maps a latency
threshold in microseconds to the count of good outcomes at or under it. A delta
has a pair for every threshold that its writer measured, also where the count is 0.

Nothing refers to `outcomes` and it has no unique constraint, so that Citus can
distribute it by request_id.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

Time = DateTime(timezone=True)
Pairs = ARRAY(BigInteger)

# ---- processes, watch -------------------------------------------------------

processes = Table(
    "processes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),  # web, watch
    Column("name", Text, nullable=False),  # web.1; with several machines host/web.1 is unique
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Time, nullable=False, server_default=func.now()),
    Column("heartbeat_at", Time, nullable=False, server_default=func.now()),
    Column("stopped_at", Time),  # set by an orderly stop
    Column("queue_items", Integer, nullable=False, server_default="0"),
    Column("queue_bytes", BigInteger, nullable=False, server_default="0"),
    Column("loop_lag_ms", Double, nullable=False, server_default="0"),
    Column("rss_bytes", BigInteger, nullable=False, server_default="0"),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),  # one row: 'watch'
    Column("process_id", BigInteger),
    Column("term", BigInteger, nullable=False, server_default="0"),
    Column("renewed_at", Time),
)

picture = Table(  # unlogged: rebuilt by the watch within a second
    "picture",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("term", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", Time, nullable=False),
    Column("body", LargeBinary, nullable=False),
    prefixes=["UNLOGGED"],
)

# ---- outcomes and what is counted from them ---------------------------------

series = Table(
    "series",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("service", Text, nullable=False),
    Column("version", Text, nullable=False),  # '' where none was sent
    Column("route", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("first_seen_at", Time, nullable=False, server_default=func.now()),
    UniqueConstraint("service", "version", "route", "method", "status", name="series_key"),
)

outcomes = Table(  # partitioned by day on `at`; the partitions are made by server/ingest/partitions.py
    "outcomes",
    metadata,
    Column("at", Time, nullable=False),
    Column("series_id", Integer, nullable=False),
    Column("duration_us", BigInteger),  # null: not known, from a log without request times
    Column("bad", Boolean, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("detail", JSONB),  # trace_id, error_class, dependency, client, instance; null where none was sent
    postgresql_partition_by="RANGE (at)",
)
Index("outcomes_series_at", outcomes.c.series_id, outcomes.c.at)
Index("outcomes_request_id", outcomes.c.request_id)

writer_ids = Sequence("writer_ids", metadata=metadata)

writers = Table(
    "writers",
    metadata,
    Column("id", BigInteger, primary_key=True),  # from writer_ids, new at each start
    Column("process_id", BigInteger, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("folded_seq", BigInteger, nullable=False, server_default="0"),  # deltas up to here are in the rollups
)

deltas = Table(
    "deltas",
    metadata,
    Column("writer_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),  # the writer's own, one a flush, rising by commit
    Column("series_id", Integer, primary_key=True),
    Column("second", Time, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("bad", Integer, nullable=False),
    Column("duration_us", BigInteger, nullable=False),  # the sum of those that are in the sketch
    Column("fast", Pairs, nullable=False),
    Column("sketch", Pairs, nullable=False),
    Column("written_at", Time, nullable=False, server_default=func.now()),
)
Index("deltas_second", deltas.c.second)
Index("deltas_written_at", deltas.c.written_at)

minutes = Table(
    "minutes",
    metadata,
    Column("series_id", Integer, primary_key=True),
    Column("minute", Time, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("fast", Pairs, nullable=False),
    Column("slow", Pairs, nullable=False, server_default="{}"),  # good ones above each threshold that was measured
)
Index("minutes_minute", minutes.c.minute)

minute_sketches = Table(  # apart, because they are dropped after 7 days
    "minute_sketches",
    metadata,
    Column("series_id", Integer, primary_key=True),
    Column("minute", Time, primary_key=True),
    Column("sketch", Pairs, nullable=False),
)
Index("minute_sketches_minute", minute_sketches.c.minute)

hours = Table(
    "hours",
    metadata,
    Column("series_id", Integer, primary_key=True),
    Column("hour", Time, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("fast", Pairs, nullable=False),
    Column("sketch", Pairs, nullable=False),
)
Index("hours_hour", hours.c.hour)

intake = Table(  # what came in and what was refused, in slots of 10 s
    "intake",
    metadata,
    Column("slot", Time, primary_key=True),
    Column("process_id", BigInteger, primary_key=True),
    Column("key_id", Integer, primary_key=True),  # 0: no valid key
    Column("service", Text, primary_key=True),  # '': not known when it was refused
    Column("reason", Text, primary_key=True),  # 'accepted', or the error code
    Column("requests", BigInteger, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("item_sizes", Pairs, nullable=False),  # sketch of items a request
    Column("byte_sizes", Pairs, nullable=False),  # sketch of bytes a request
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # 16 bytes of key id, path, query and Idempotency-Key
    Column("body", LargeBinary, nullable=False),  # 16 bytes of the decompressed body's hash
    Column("answer", LargeBinary, nullable=False),  # the first answer, as sent
    Column("at", Time, nullable=False, server_default=func.now()),
)
Index("idempotency_at", idempotency.c.at)

# ---- settings ---------------------------------------------------------------

revisions = Table(
    "revisions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("values", JSONB, nullable=False),  # list of {setting, scope, value, until}; see server/config/revisions.py
    Column("kind", Text, nullable=False),  # change, rollback, expiry
    Column("restores", Integer),  # the revision whose values these are, for a rollback
    Column("made_from", Integer),  # null: the one before it; an expiry while one is staged makes one of each
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("request_id", Text, nullable=False, server_default=""),
)

receipts = Table(
    "receipts",
    metadata,
    Column("process_id", BigInteger, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("applied_at", Time, nullable=False, server_default=func.now()),
    Column("applied", JSONB, nullable=False, server_default="{}"),  # each setting there; see config/resolve.py
)

rollouts = Table(  # a revision that reaches only some processes until it is promoted; see server/config/staged.py
    "rollouts",
    metadata,
    Column("revision", Integer, ForeignKey("revisions.number"), primary_key=True),  # as somebody made it
    Column("newest", Integer, ForeignKey("revisions.number"), nullable=False),  # its number now: expiry gives another
    Column("base", Integer, ForeignKey("revisions.number"), nullable=False),  # in force everywhere else
    Column("state", Text, nullable=False),  # running, paused, promoted, rolled_back
    Column("state_by", Text, nullable=False),
    Column("state_at", Time, nullable=False),
    Column("why", Text, nullable=False, server_default=""),  # why it ended
    Column("share", Double, nullable=False),  # of the web processes, above 0 and below 1
    Column("bake_s", Integer, nullable=False),
    Column("chosen", JSONB, nullable=False),  # {id of a process: since when it is one, Unix seconds}
    Column("known", ARRAY(Text), nullable=False),  # objectives that burned before, so that they do not end it
    Column("baked_s", Double, nullable=False, server_default="0"),
    Column("checked_at", Time),  # when the watch last looked
    Column("held", Text, nullable=False, server_default=""),  # why the bake clock stood then; empty: it ran
)

# ---- objectives -------------------------------------------------------------

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
)
Index("exclusions_service", exclusions.c.service, exclusions.c.stop)

ledger_left_out = Table(  # what of a ledger's minute exclusions take out: part of its good and bad
    "ledger_left_out",
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

# ---- alerts -----------------------------------------------------------------

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
    Column("onset", Time, nullable=False),  # the first bad second, estimated
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
    Column("evidence", JSONB, nullable=False),  # the last Evidence that said anything; see server/slo/evidence.py
    Column("updated_at", Time, nullable=False, server_default=func.now()),
)
Index("alerts_open", alerts.c.objective, unique=True, postgresql_where=text("state <> 'resolved'"))
Index("alerts_detected_at", alerts.c.detected_at)

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
)
Index("silences_ends_at", silences.c.ends_at)

targets = Table(  # where alerts go
    "targets",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # webhook, slack, pagerduty, email
    Column("address", Text, nullable=False),  # a URL, or an e-mail address; for pagerduty the events URL
    Column("secret", Text, nullable=False, server_default=""),  # signs webhooks; the routing key of pagerduty
    Column("inbound_secret", Text, nullable=False, server_default=""),  # what pagerduty signs its webhooks with
    Column("step", SmallInteger, nullable=False, server_default="1"),  # 1 is told first, 2 when nobody acknowledged
    Column("created_by", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("removed_at", Time),
)

notifications = Table(  # the outbox: written with what it tells of, sent after the commit
    "notifications",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("alert_id", BigInteger, ForeignKey("alerts.id")),  # null: a test message
    Column("target_id", Integer, ForeignKey("targets.id"), nullable=False),
    Column("event", Text, nullable=False),  # trigger, update, acknowledge, resolve, test
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
)
Index(
    "notifications_due",
    notifications.c.next_at,
    postgresql_where=text("sent_at IS NULL AND gave_up_at IS NULL"),
)
Index("notifications_alert_id", notifications.c.alert_id)

# ---- changes ----------------------------------------------------------------

changes = Table(
    "changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("kind", Text, nullable=False),  # deploy, revision, scale, flag, environment, override
    Column("service", Text, nullable=False),
    Column("version", Text, nullable=False, server_default=""),
    Column("summary", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("detail", JSONB),
)
Index("changes_at", changes.c.at)

# ---- people and keys --------------------------------------------------------

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),  # the first characters, to recognise it by
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256 of 256 random bits
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time),
    Column("revoked_at", Time),
)

users = Table(
    "users",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("email", Text, nullable=False, unique=True),  # lower case
    Column("password", Text, nullable=False),  # argon2id
    Column("role", Text, nullable=False),  # viewer, responder, commander, admin
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("disabled_at", Time),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("seen_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time, nullable=False),
    Column("revoked_at", Time),
    Column("agent", Text, nullable=False, server_default=""),
    Column("address", Text, nullable=False, server_default=""),
)
Index("sessions_user_id", sessions.c.user_id)

signin_links = Table(
    "signin_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time, nullable=False),
    Column("used_at", Time),
)

signin_failures = Table(
    "signin_failures",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("subject", Text, nullable=False),  # account:E-MAIL or address:IP
    Column("at", Time, nullable=False, server_default=func.now()),
)
Index("signin_failures_subject", signin_failures.c.subject, signin_failures.c.at)

audit = Table(  # append-only: a trigger refuses UPDATE, DELETE and TRUNCATE
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("actor", Text, nullable=False),  # E-MAIL, key:NAME, cli:USER@HOST, evenkeel
    Column("action", Text, nullable=False),  # config.change, key.create, session.revoke …
    Column("subject", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("request_id", Text, nullable=False, server_default=""),
)
Index("audit_at", audit.c.at)

# ---- logs and checks --------------------------------------------------------

log_lines = Table(
    "log_lines",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Time, nullable=False),
    Column("level", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("logger", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("fields", JSONB),
)
Index("log_lines_request_id", log_lines.c.request_id, postgresql_where=text("request_id <> ''"))
Index("log_lines_at", log_lines.c.at)

check_results = Table(
    "check_results",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("status", Text, nullable=False),  # pass, warn, fail
    Column("duration_ms", Double, nullable=False),
    Column("findings", JSONB, nullable=False),
)
Index("check_results_name_at", check_results.c.name, check_results.c.at)
