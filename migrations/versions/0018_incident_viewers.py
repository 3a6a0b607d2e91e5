"""Who looks at an incident's room, for the other processes.

Revises: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incident_viewers",
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "person"),
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    op.drop_table("incident_viewers")
