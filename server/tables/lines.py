"""Log lines of services, beside their outcomes, and how many bytes of them came in a day."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, SmallInteger, Table, Text, text

from server.tables.columns import Time, metadata

service_lines = Table(  # partitioned by day on `at`, as outcomes are, and in their database
    "service_lines",
    metadata,
    Column("at", Time, nullable=False),
    Column("arrived", Time, nullable=False),  # with its place in its batch as microseconds: lines of one time in order
    Column("severity", SmallInteger, nullable=False),  # OpenTelemetry's number, 1 to 24; 0: not known
    Column("cut", Boolean, nullable=False),  # its sender, a relay or we have cut it
    Column("service", Text, nullable=False),
    Column("level", Text, nullable=False),  # the severity as it was sent
    Column("instance", Text, nullable=False),
    Column("process", Text, nullable=False),  # program, facility or logger
    Column("request_id", Text, nullable=False),  # '' where none is known
    Column("trace_id", Text, nullable=False),
    Column("message", Text, nullable=False),
    postgresql_partition_by="RANGE (at)",
)
# As of outcomes' request ids. A page has 10 to 40 lines, so 128 pages fill the filter about as far.
LINE_BLOOM = "text_bloom_ops (n_distinct_per_range = 4200, false_positive_rate = 0.0012)"
LINE_RANGE_PAGES = 128
for name in ("request_id", "trace_id"):
    Index(
        f"service_lines_{name}s",
        service_lines.c[name],
        postgresql_using="brin",
        postgresql_ops={name: LINE_BLOOM},
        postgresql_with={"pages_per_range": LINE_RANGE_PAGES, "autosummarize": "on"},
    )
WARNING, ERROR = 13, 17  # the least severities that OpenTelemetry calls so
Index(
    "service_lines_errors",
    service_lines.c.service,
    service_lines.c.at,
    postgresql_where=text(f"severity >= {ERROR}"),
)

line_days = Table(  # each process writes what it took; the sum is what a service may send in a day
    "line_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("process_id", BigInteger, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("lines", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("over_lines", BigInteger, nullable=False),  # not kept: over the bytes of a day
    Column("old_lines", BigInteger, nullable=False),  # not kept: older than is kept
)
