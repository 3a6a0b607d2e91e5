"""Log lines of services, beside their outcomes, and how many bytes of them came in a day; trace ids are found.

Revises: 0032
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

BLOOM = "text_bloom_ops (n_distinct_per_range = 4200, false_positive_rate = 0.0012)"


def upgrade() -> None:
    op.create_table(
        "service_lines",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("arrived", sa.DateTime(timezone=True), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("cut", sa.Boolean(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        postgresql_partition_by="RANGE (at)",
    )
    for name in ("request_id", "trace_id"):
        op.create_index(
            f"service_lines_{name}s",
            "service_lines",
            [name],
            postgresql_using="brin",
            postgresql_ops={name: BLOOM},
            postgresql_with={"pages_per_range": 128, "autosummarize": "on"},
        )
    op.create_index(
        "service_lines_errors", "service_lines", ["service", "at"], postgresql_where=sa.text("severity >= 17")
    )
    # Of new partitions; the watch makes it for those that there are (server/ingest/partitions.py).
    op.execute(
        f"CREATE INDEX outcomes_trace_ids ON ONLY outcomes USING brin ((detail ->> 'trace_id') {BLOOM})"
        " WITH (pages_per_range = 48, autosummarize = on)"
    )
    op.create_table(
        "line_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("process_id", sa.BigInteger(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("over_lines", sa.BigInteger(), nullable=False),
        sa.Column("old_lines", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "process_id", "service"),
    )


def downgrade() -> None:
    op.drop_table("line_days")
    op.drop_index("outcomes_trace_ids", "outcomes")
    op.drop_table("service_lines")
