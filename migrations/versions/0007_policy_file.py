"""A process says which policy file is on its machine.

Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("processes", sa.Column("policy_file", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("processes", "policy_file")
