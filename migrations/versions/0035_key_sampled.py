"""Of how many requests a key's sender sends spans, where it samples and does not say so in them.

Revises: 0034
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("sampled", sa.Float(53), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("api_keys", "sampled")
