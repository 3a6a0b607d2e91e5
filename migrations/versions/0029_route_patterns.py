"""Patterns by which paths become routes.

Revises: 0028
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "route_patterns",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("service", "pattern", "author")),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("service", "pattern"),
    )


def downgrade() -> None:
    op.drop_table("route_patterns")
