"""A result of a check of Evenkeel's own files names the version that was checked.

Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("check_results", sa.Column("version", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("check_results", "version")
