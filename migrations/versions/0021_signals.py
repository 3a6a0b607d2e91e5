"""Signals: what other systems say is in trouble.

Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    texts = ("sender", "fingerprint", "group_key", "name", "service", "severity", "summary", "link", "state")
    op.create_table(
        "signals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        sa.Column("opens", sa.Boolean(), nullable=False),
        sa.Column("labels", JSONB(), nullable=False),
        *(sa.Column(name, TIME, nullable=False) for name in ("starts_at", "first_heard_at", "heard_at")),
        sa.Column("over_at", TIME),
        sa.Column("incident_id", sa.BigInteger()),
        sa.Column("joined_at", TIME),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    firing = sa.text("state = 'firing'")
    op.create_index("signals_firing", "signals", ["sender", "fingerprint"], unique=True, postgresql_where=firing)
    op.create_index("signals_told", "signals", ["sender", "fingerprint", "id"])
    waiting = sa.text("state = 'firing' AND incident_id IS NULL")
    op.create_index("signals_waiting", "signals", ["service"], postgresql_where=waiting)
    joined = sa.text("incident_id IS NOT NULL")
    op.create_index("signals_incident_id", "signals", ["incident_id"], postgresql_where=joined)
    op.create_index("signals_heard_at", "signals", ["heard_at"])


def downgrade() -> None:
    op.drop_table("signals")
