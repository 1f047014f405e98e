"""Keys of clients that authenticate with signed assertions, and the assertions that were used."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("clients", sa.Column("jwks", sa.JSON, nullable=False, server_default="[]"))
    op.create_table(
        "assertions",
        sa.Column("name", sa.LargeBinary, primary_key=True),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_index("ix_assertions_expires_at", "assertions", ["expires_at"])
