"""One target a name; and on the way back the secrets of targets in the open, as earlier releases read them.

Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server.kernel.sealed import opened
from server.kernel.settings import read_environment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS targets_name")  # an attempt that was cut off leaves it invalid
        op.create_index(
            "targets_name",
            "targets",
            [sa.text("lower(name)")],
            unique=True,
            postgresql_where=sa.text("removed_at IS NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_index("targets_name", table_name="targets")
    if not op.get_context().as_sql:
        open_secrets(op.get_bind())


def open_secrets(connection: sa.Connection) -> None:
    """Raises sealed.Unreadable where SECRET_KEY is not the one they were sealed with; then nothing is done."""
    sealed = "SELECT id, secret, inbound_secret FROM targets WHERE secret || inbound_secret LIKE '%sealed1:%'"
    rows = connection.execute(sa.text(sealed)).all()
    if rows:
        key = read_environment().secret_key
        values = [
            {
                "id": row.id,
                "secret": opened(key, "secrets of targets", row.secret),
                "inbound": opened(key, "inbound secrets of targets", row.inbound_secret),
            }
            for row in rows
        ]
        plain = "UPDATE targets SET secret = :secret, inbound_secret = :inbound WHERE id = :id"
        connection.execute(sa.text(plain), values)
