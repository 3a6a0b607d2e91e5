"""What is known of who sends telemetry: cumulative series as they were last read, and services."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, LargeBinary, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY

from server.tables.columns import Time, metadata

meters = Table(
    "meters",
    metadata,
    Column("series", LargeBinary, primary_key=True),  # 16 bytes of source, scope, metric, attributes and start
    Column("source", LargeBinary, nullable=False),  # 16 bytes of all attributes of the resource
    Column("service", Text, nullable=False),
    Column("read_to", BigInteger, nullable=False),  # nanoseconds since 1970: the time of the point; 0: not read yet
    Column("state", LargeBinary, nullable=False),  # its histogram: server/receivers/otlp/histogram.py
    Column("first_at", Time, nullable=False, server_default=func.now()),
    Column("heard_at", Time, nullable=False, server_default=func.now()),
)
Index("meters_source", meters.c.source)
Index("meters_service", meters.c.service)
Index("meters_heard_at", meters.c.heard_at)

telemetry_services = Table(
    "telemetry_services",
    metadata,
    Column("service", Text, primary_key=True),
    Column("spans_at", Time),  # when spans of it came last
    Column("sampled_at", Time),  # when spans came last of which nobody knows how many requests they stand for
    Column("measured_at", Time),  # when histograms of it counted last
    Column("latency_error", Float(53), nullable=False, server_default="0"),  # of those, at most, as a share
    Column("bounds_ms", ARRAY(Float(53)), nullable=False, server_default="{}"),  # of explicit buckets
)
