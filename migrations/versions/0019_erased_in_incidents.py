"""Who is erased stays in the timelines of incidents by an id, and by nothing else is a timeline changed.

Revises: 0018
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

AUDIT = """(NEW.id, NEW.at, NEW.action, NEW.request_id) = (OLD.id, OLD.at, OLD.action, OLD.request_id)
            AND NEW.actor = without_address(OLD.actor, address, id)
            AND NEW.subject = without_address(OLD.subject, address, id)
            AND NEW.before IS NOT DISTINCT FROM without_address(OLD.before::text, address, id)::jsonb
            AND NEW.after IS NOT DISTINCT FROM without_address(OLD.after::text, address, id)::jsonb"""
ENTRIES = """(NEW.id, NEW.incident_id, NEW.at, NEW.corrects) IS NOT DISTINCT FROM
                (OLD.id, OLD.incident_id, OLD.at, OLD.corrects)
            AND NEW.kind = without_address(OLD.kind, address, id)
            AND NEW.text = without_address(OLD.text, address, id)
            AND NEW.author = without_address(OLD.author, address, id)
            AND NEW.link = without_address(OLD.link, address, id)
            AND NEW.key IS NOT DISTINCT FROM without_address(OLD.key, address, id)"""
APPEND_ONLY = """
CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    address text := coalesce(current_setting('evenkeel.erased', true), '');
    id text := coalesce(current_setting('evenkeel.erased_as', true), '');
BEGIN
    IF TG_OP = 'UPDATE' AND address LIKE '%@%' AND id ~ '^person:[0-9]+$' THEN
{conditions}    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$
"""
BY_TABLE = f"""        IF TG_TABLE_NAME = 'incident_entries' THEN
            IF {ENTRIES} THEN
                RETURN NEW;
            END IF;
        ELSIF {AUDIT} THEN
            RETURN NEW;
        END IF;
"""
OF_THE_AUDIT = f"""        IF {AUDIT} THEN
            RETURN NEW;
        END IF;
"""


def upgrade() -> None:
    op.execute(APPEND_ONLY.replace("{conditions}", BY_TABLE))


def downgrade() -> None:
    op.execute(APPEND_ONLY.replace("{conditions}", OF_THE_AUDIT))
