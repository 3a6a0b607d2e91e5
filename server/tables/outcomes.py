"""Outcomes, and what is counted from them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from server.tables.columns import Pairs, Time, metadata

series = Table(
    "series",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("service", Text, nullable=False),
    Column("version", Text, nullable=False),  # '' where none was sent
    Column("route", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("first_seen_at", Time, nullable=False, server_default=func.now()),  # when its first outcome happened
    Column("key_id", Integer, nullable=False, server_default="0"),  # of the key that brought it, 0: not known, or ours
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
    Column("detail", JSONB),  # see server/tables/detail.py; null where none was sent
    postgresql_partition_by="RANGE (at)",
)
Index("outcomes_series_at", outcomes.c.series_id, outcomes.c.at)
# A bloom filter of each 48 pages: 20 MB for 10 million, and nothing to write a row, where a B-tree logs a page for
# nearly every random id. A page has 80 to 95 rows, so 1 range in 800 is read in vain.
BLOOM = "text_bloom_ops (n_distinct_per_range = 4200, false_positive_rate = 0.0012)"
RANGE_PAGES = 48
RANGES = f"pages_per_range = {RANGE_PAGES}, autosummarize = on"
Index(
    "outcomes_request_ids",
    outcomes.c.request_id,
    postgresql_using="brin",
    postgresql_ops={"request_id": BLOOM},
    postgresql_with={"pages_per_range": RANGE_PAGES, "autosummarize": "on"},
)
Index(  # the same of trace ids, which few services send beside another request id
    "outcomes_trace_ids",
    outcomes.c.detail["trace_id"].astext.label("trace"),
    postgresql_using="brin",
    postgresql_ops={"trace": BLOOM},
    postgresql_with={"pages_per_range": RANGE_PAGES, "autosummarize": "on"},
)

flush_marks = Table(  # in the outcomes' own database: which flush of the main one counts which of its rows
    "flush_marks",
    metadata,
    Column("counted_in", BigInteger, primary_key=True, autoincrement=False),  # the main database's transaction
    Column("row_xid", BigInteger, nullable=False),  # this database's, as the rows have it in xmin
    Column("series", ARRAY(Integer), nullable=False),
    Column("first_at", Time, nullable=False),
    Column("last_at", Time, nullable=False),
    Column("at", Time, nullable=False, server_default=func.now()),
)

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

service_rollups = Table(  # the same over all series of a service, and of each of its routes and versions
    "service_rollups",
    metadata,
    Column("service", Text, primary_key=True),
    Column("part", Text, primary_key=True),  # '' the whole service, 'route' or 'version'
    Column("span_s", Integer, primary_key=True),  # see server/live/service_rollups.py
    Column("at", Time, primary_key=True),
    Column("name", Text, primary_key=True),  # of the route or version
    Column("n", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("sketch", Pairs, nullable=False),
)
Index("service_rollups_at", service_rollups.c.span_s, service_rollups.c.at)

rollup_cover = Table(  # one row: from when on `service_rollups` has all that minutes and hours have; null: nothing yet
    "rollup_cover",
    metadata,
    Column("name", Text, primary_key=True),  # 'service'
    Column("term", BigInteger, nullable=False),  # of the watch that last vouched for it
    Column("minutes_since", Time),
    Column("hours_since", Time),
    Column("halves_until", Time),  # half days before are made, and kept right by the fold; the one that goes on is not
)

service_totals = Table(  # of each service since it is counted: only ever added to, for Prometheus
    "service_totals",
    metadata,
    Column("service", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("buckets", ARRAY(BigInteger), nullable=False),  # by the bounds of server/live/service_totals_store.py
)

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
    Column("ahead_us", BigInteger, nullable=False, server_default="0"),  # the most that a sender's clock was ahead
    Column("item_sizes", Pairs, nullable=False),  # sketch of items a request
    Column("byte_sizes", Pairs, nullable=False),  # sketch of bytes a request
)

received = Table(  # what came in by each receiver and what it refused, in slots of a minute
    "received",
    metadata,
    Column("slot", Time, primary_key=True),
    Column("process_id", BigInteger, primary_key=True),
    Column("receiver", Text, primary_key=True),  # its name: server/ingest/received.py
    Column("key_id", Integer, primary_key=True),  # 0: no valid key
    Column("reason", Text, primary_key=True),  # 'accepted', 'ABANDONED', or the error code
    Column("requests", BigInteger, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # on the wire
    Column("at", Time, nullable=False),  # when the newest came
    Column("said", Text, nullable=False),  # what its sender was told; '' where nothing was refused
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

item_chunks = Table(  # what receivers count once by itself, as spans: see server/ingest/item_claims.py
    "item_chunks",
    metadata,
    Column("second", BigInteger, primary_key=True, autoincrement=False),  # that the items are of
    Column("number", BigInteger, Identity(always=True), primary_key=True),  # of one second it rises by commit
    Column("items", LargeBinary, nullable=False),  # 16 bytes each
)

item_claims = Table(  # the same as the release before wrote it: only read, until it is dropped
    "item_claims",
    metadata,
    Column("item", LargeBinary, primary_key=True),  # 16 bytes: the second that it is of, then what it is known by
)

log_places = Table(  # how far access logs are stored, by `import`
    "log_places",
    metadata,
    Column("known", LargeBinary, primary_key=True),  # 16 bytes of the service and the log's first line
    Column("number", Integer, primary_key=True, autoincrement=False),  # among those that begin alike
    Column("bytes", BigInteger, nullable=False),  # so many are stored
    Column("lines", BigInteger, nullable=False),
    Column("tail", LargeBinary, nullable=False),  # 16 bytes of the last of them
    Column("inode", BigInteger, nullable=False),  # 0: of no file
    Column("at", Time, nullable=False, server_default=func.now()),
)
