"""An alert that comes back keeps how it began, and each of its outages; it says when a failure ended, and what says so.

Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("again", JSONB(), nullable=True))
    op.add_column("alerts", sa.Column("over_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("alerts", sa.Column("recovery", JSONB(), nullable=True))
    op.create_table(
        "alert_outages",
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("objective", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("onset", sa.DateTime(timezone=True), nullable=False),
        sa.Column("onset_method", sa.Text(), nullable=False),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), server_default="", nullable=False),
        sa.Column("over_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"]),
        sa.PrimaryKeyConstraint("alert_id", "number"),
    )
    op.create_index("alert_outages_detected_at", "alert_outages", ["detected_at"], unique=False)


def downgrade() -> None:
    op.drop_table("alert_outages")
    op.drop_column("alerts", "recovery")
    op.drop_column("alerts", "over_at")
    op.drop_column("alerts", "again")
