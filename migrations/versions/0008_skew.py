"""How far the clocks of senders are ahead.

Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("intake", sa.Column("ahead_us", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("intake", "ahead_us")
