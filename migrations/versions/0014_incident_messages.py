"""Messages of incidents in the outbox.

An earlier release, which sends beside this one during a deploy, leaves them alone: they have no alert.

Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notifications", sa.Column("incident_id", sa.BigInteger(), nullable=True), if_not_exists=True)
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS notifications_incident_id")  # what a cut-off attempt leaves
        op.create_index(
            "notifications_incident_id",
            "notifications",
            ["incident_id"],
            unique=False,
            postgresql_where=sa.text("incident_id IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.execute("DELETE FROM notifications WHERE incident_id IS NOT NULL")
    op.drop_index("notifications_incident_id", table_name="notifications")
    op.drop_column("notifications", "incident_id")
