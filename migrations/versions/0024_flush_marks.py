"""Marks of flushes whose outcomes are in a database of their own.

Revises: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flush_marks",
        sa.Column("counted_in", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row_xid", sa.BigInteger(), nullable=False),
        sa.Column("series", ARRAY(sa.Integer()), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("counted_in"),
    )


def downgrade() -> None:
    op.drop_table("flush_marks")
