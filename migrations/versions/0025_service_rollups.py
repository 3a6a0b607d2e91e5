"""Rollups by service, route and version beside those by series. The watch fills them for what there is, newest first
(server/live/service_rollups.py); until then, and while an older watch folds, readers use those by series.

Revises: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "service_rollups",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("span_s", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("bad", sa.BigInteger(), nullable=False),
        sa.Column("sketch", ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("service", "part", "span_s", "at", "name"),
    )
    op.create_index("service_rollups_at", "service_rollups", ["span_s", "at"])
    op.execute(
        "ALTER TABLE service_rollups SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)"
    )
    op.create_table(
        "rollup_cover",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("minutes_since", sa.DateTime(timezone=True)),
        sa.Column("hours_since", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    op.drop_table("rollup_cover")
    op.drop_table("service_rollups")
