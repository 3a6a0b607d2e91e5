"""What was counted is known one by one for some hours: SDKs send spans again, and collectors in other bodies.

Revises: 0033
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("item_claims", sa.Column("item", sa.LargeBinary, primary_key=True))


def downgrade() -> None:
    op.drop_table("item_claims")
