"""Decisions are found by what ties them together, so that one asked for twice is decided once."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index the transactions of the outbox."""
    op.create_index("ix_outbox_txn", "outbox", ["txn"])
