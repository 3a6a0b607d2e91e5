"""How many outcomes the next flush of a process may take.

Revises: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("processes", sa.Column("flush_items", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("processes", "flush_items")
