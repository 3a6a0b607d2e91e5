"""Silences take matchers, in Alertmanager's words.

Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("silences", sa.Column("matchers", JSONB(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("silences", "matchers")
