"""Keys of services, and which key brought a series.

Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("services", ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.add_column("series", sa.Column("key_id", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("series", "key_id")
    op.drop_column("api_keys", "services")
