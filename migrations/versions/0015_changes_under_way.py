"""Changes have a beginning and an end, who made them, a link, and whether their migration can be undone.

Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("changes", sa.Column("state", sa.Text(), server_default="finished", nullable=False))
    op.add_column("changes", sa.Column("finished", sa.DateTime(timezone=True), nullable=True))
    op.add_column("changes", sa.Column("migration", sa.Text(), server_default="unknown", nullable=False))
    op.add_column("changes", sa.Column("actor", sa.Text(), server_default="", nullable=False))
    op.add_column("changes", sa.Column("link", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("changes", "link")
    op.drop_column("changes", "actor")
    op.drop_column("changes", "migration")
    op.drop_column("changes", "finished")
    op.drop_column("changes", "state")
