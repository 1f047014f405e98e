"""Which running issuers hold which key-encryption keys."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "kek_holders",
        sa.Column("holder", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("kek_ids", sa.JSON, nullable=False),
        sa.Column("said_at", sa.Float, nullable=False),
    )
