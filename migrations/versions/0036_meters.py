"""Cumulative series as they were last read, and which services send spans.

Revises: 0035
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meters",
        sa.Column("series", sa.LargeBinary(), primary_key=True),
        sa.Column("source", sa.LargeBinary(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("read_to", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("meters_source", "meters", ["source"])
    op.create_index("meters_service", "meters", ["service"])
    op.create_index("meters_heard_at", "meters", ["heard_at"])
    op.create_table(
        "telemetry_services",
        sa.Column("service", sa.Text(), primary_key=True),
        sa.Column("spans_at", sa.DateTime(timezone=True)),
        sa.Column("sampled_at", sa.DateTime(timezone=True)),
        sa.Column("measured_at", sa.DateTime(timezone=True)),
        sa.Column("latency_error", sa.Float(53), nullable=False, server_default="0"),
        sa.Column("bounds_ms", ARRAY(sa.Float(53)), nullable=False, server_default="{}"),
    )


def downgrade() -> None:
    op.drop_table("telemetry_services")
    op.drop_table("meters")
