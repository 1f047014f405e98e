"""Enrolled agents, and what the life of a token key is decided by."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and add the columns; keys that are there were published in the newest key set at the latest."""
    op.create_table(
        "agents",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(128), nullable=False),
        sa.Column("jwk", sa.JSON, nullable=False),
        sa.Column("enrolled_at", sa.Float, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("status", sa.JSON, nullable=False),
        sa.Column("heard_at", sa.Float, nullable=False),
        sa.Column("removed_at", sa.Float),
        sa.Column("removed_by", sa.String(256), nullable=False, server_default=""),
        sa.Column("removed_for", sa.String(1024), nullable=False, server_default=""),
    )
    op.create_index("ix_agents_heard_at", "agents", ["heard_at"])
    op.add_column("keys", sa.Column("published_seq", sa.BigInteger))
    op.add_column("keys", sa.Column("signatures", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("keys", sa.Column("due_since", sa.Float))
    op.add_column("keys", sa.Column("due_reason", sa.String(256), nullable=False, server_default=""))
    op.execute("UPDATE keys SET published_seq = (SELECT head FROM streams WHERE stream = 'keys') WHERE use = 'token'")
