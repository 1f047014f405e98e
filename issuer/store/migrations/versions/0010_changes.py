"""Counters by which replicas hear that a client or a user has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, with a row for each kind."""
    changes = op.create_table(
        "changes",
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
    )
    op.bulk_insert(changes, [{"kind": kind, "number": 0, "name": ""} for kind in ("client", "user")])
