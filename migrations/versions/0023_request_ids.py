"""Request ids of outcomes are found by bloom filters; the watch makes them for the partitions that there are, and
then drops the B-tree of earlier versions (server/ingest/partitions.py).

Revises: 0022
"""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX outcomes_request_ids ON ONLY outcomes USING brin"
        " (request_id text_bloom_ops (n_distinct_per_range = 4200, false_positive_rate = 0.0012))"
        " WITH (pages_per_range = 48, autosummarize = on)"
    )


def downgrade() -> None:
    op.execute("CREATE INDEX IF NOT EXISTS outcomes_request_id ON outcomes (request_id)")
    op.drop_index("outcomes_request_ids", "outcomes")
