"""Codes of people, when a session was proved, and an audit in which an address may be replaced by an id.

Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Whoever is erased stays by an id: within an act that says so, an address is replaced by person:ID, and nothing else.
WITHOUT_ADDRESS = r"""
CREATE FUNCTION without_address(given text, address text, id text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(given, '(^|[^[:alnum:]._%+@-])' || regexp_replace(address, '([^[:alnum:]@])', '\\\1', 'g')
        || '(?![[:alnum:]-]|\.[[:alnum:]])', '\1' || id, 'g')
$$
"""

AUDIT_KEEP = """
CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    address text := coalesce(current_setting('evenkeel.erased', true), '');
    id text := coalesce(current_setting('evenkeel.erased_as', true), '');
BEGIN
    IF TG_OP = 'UPDATE' AND address LIKE '%@%' AND id ~ '^person:[0-9]+$' THEN
        IF (NEW.id, NEW.at, NEW.action, NEW.request_id) = (OLD.id, OLD.at, OLD.action, OLD.request_id)
            AND NEW.actor = without_address(OLD.actor, address, id)
            AND NEW.subject = without_address(OLD.subject, address, id)
            AND NEW.before IS NOT DISTINCT FROM without_address(OLD.before::text, address, id)::jsonb
            AND NEW.after IS NOT DISTINCT FROM without_address(OLD.after::text, address, id)::jsonb
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$
"""


APPEND_ONLY = """
CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$
"""


def upgrade() -> None:
    op.add_column("users", sa.Column("totp_secret", sa.Text(), nullable=True))
    op.add_column("users", sa.Column("totp_step", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("sessions", sa.Column("proved_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "recovery_codes",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("recovery_codes_user_id", "recovery_codes", ["user_id"], unique=False)
    op.execute(WITHOUT_ADDRESS)
    op.execute(AUDIT_KEEP)


def downgrade() -> None:
    op.execute(APPEND_ONLY)
    op.execute("DROP FUNCTION without_address(text, text, text)")
    op.drop_table("recovery_codes")
    op.drop_column("sessions", "proved_at")
    op.drop_column("users", "totp_step")
    op.drop_column("users", "totp_secret")
