"""A process says how far its machine's clock is ahead of the database's.

Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("processes", sa.Column("clock_ahead_s", sa.Double(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("processes", "clock_ahead_s")
