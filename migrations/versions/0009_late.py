"""What of the ledgers came late.

Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_late",
        sa.Column("objective_id", sa.Integer(), sa.ForeignKey("objectives.id"), primary_key=True),
        sa.Column("minute", sa.TIMESTAMP(timezone=True), primary_key=True),
        sa.Column("good", sa.BigInteger(), nullable=False),
        sa.Column("bad", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("ledger_late")
