"""Hooks, and what a platform that tells of a change calls it.

Revises: 0030
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

TOLD = sa.text("told_as IS NOT NULL")


def upgrade() -> None:
    op.add_column("changes", sa.Column("told_as", sa.Text(), nullable=True), if_not_exists=True)
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS changes_told_as")  # what a cut-off attempt leaves
        op.create_index("changes_told_as", "changes", ["told_as"], postgresql_where=TOLD, postgresql_concurrently=True)
    op.create_table(
        "hooks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("services", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    there = sa.text("removed_at IS NULL")
    op.create_index("hooks_name", "hooks", [sa.text("lower(name)")], unique=True, postgresql_where=there)


def downgrade() -> None:
    op.drop_table("hooks")
    op.drop_column("changes", "told_as")
