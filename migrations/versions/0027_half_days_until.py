"""Up to when half days of services are made: the fold adds to those, and no longer to the one that goes on.

Revises: 0026
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rollup_cover", sa.Column("halves_until", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("rollup_cover", "halves_until")
