"""What is counted once by itself is stored by the flush and second: a row and an index entry a span cost half of it.

Processes of this release also read what those before it write to `item_claims`, so a span that an old process has
counted is not counted again. Old ones do not read `item_chunks`: while both run, and for two hours after a roll-back,
a span that a new process has counted is counted once more where it comes again, in another body, to an old one. The
same body is known by its bytes to both.

Revises: 0038
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "item_chunks",
        sa.Column("second", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("items", sa.LargeBinary(), nullable=False),
    )
    # Of random bytes, whose first four are alike, compressing saves a tenth and costs more than all the rest.
    op.execute("ALTER TABLE item_chunks ALTER COLUMN items SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_table("item_chunks")
