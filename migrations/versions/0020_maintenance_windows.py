"""Maintenance windows, and which exclusions, silences and messages are of one.

An earlier release, which sends beside this one during a deploy, leaves their messages alone: they have neither an alert
nor an incident.

Revises: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

OF_A_WINDOW = ("exclusions", "silences", "notifications")


def upgrade() -> None:
    for table in OF_A_WINDOW:
        op.add_column(table, sa.Column("maintenance_id", sa.BigInteger(), nullable=True), if_not_exists=True)
    with op.get_context().autocommit_block():
        for table in OF_A_WINDOW:
            name = f"{table}_maintenance_id"
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # what a cut-off attempt leaves
            op.create_index(
                name,
                table,
                ["maintenance_id"],
                postgresql_where=sa.text("maintenance_id IS NOT NULL"),
                postgresql_concurrently=True,
            )

    op.create_table(
        "maintenance_windows",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("services", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stop", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expected", sa.Text(), server_default="", nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), server_default="", nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "maintenance_windows_open",
        "maintenance_windows",
        ["start"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def downgrade() -> None:
    op.execute("DELETE FROM notifications WHERE maintenance_id IS NOT NULL")
    for table in OF_A_WINDOW:
        op.drop_index(f"{table}_maintenance_id", table_name=table)
        op.drop_column(table, "maintenance_id")
    op.drop_table("maintenance_windows")
