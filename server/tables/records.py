"""What happened: changes, log lines, results of checks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Identity, Index, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

from server.tables.columns import Time, metadata

changes = Table(
    "changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Time, nullable=False, server_default=func.now()),  # when it began
    Column("kind", Text, nullable=False),  # see Change in server/changes/store.py
    Column("service", Text, nullable=False),
    Column("version", Text, nullable=False, server_default=""),
    Column("summary", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("detail", JSONB),
    Column("state", Text, nullable=False, server_default="finished"),  # started, finished, failed
    Column("finished", Time),  # null: it is under way, or nobody has told when
    Column("migration", Text, nullable=False, server_default="unknown"),  # none, reversible, irreversible, unknown
    Column("actor", Text, nullable=False, server_default=""),  # who made it, as its pipeline says
    Column("link", Text, nullable=False, server_default=""),
    Column("told_as", Text),  # the platform's name for it; null: it was not told by one
)
Index("changes_at", changes.c.at)
Index("changes_told_as", changes.c.told_as, postgresql_where=changes.c.told_as.is_not(None))

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
    Column("version", Text),  # of a check of Evenkeel's own files: whose they were
)
Index("check_results_name_at", check_results.c.name, check_results.c.at)
