"""Where silences are written back, and how each stands there.

Revises: 0031
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alertmanagers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    in_force = sa.text("removed_at IS NULL")
    op.create_index("alertmanagers_one", "alertmanagers", [sa.text("(true)")], unique=True, postgresql_where=in_force)
    op.create_table(
        "silence_copies",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("alertmanager_id", sa.BigInteger(), nullable=False),
        sa.Column("silence_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("remote_id", sa.Text(), server_default="", nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["alertmanager_id"], ["alertmanagers.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    one = ["alertmanager_id", "silence_id", "number"]
    op.create_index("silence_copies_one", "silence_copies", one, unique=True)


def downgrade() -> None:
    op.drop_table("silence_copies")
    op.drop_table("alertmanagers")
