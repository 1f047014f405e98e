"""The chain of event keys, and which of them signs each stream."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, with the event key that is there; it has no successor yet."""
    event_keys = op.create_table(
        "event_keys",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kid", sa.String(64), nullable=False, unique=True),
        sa.Column("public_jwk", sa.JSON, nullable=False),
        sa.Column("successor", sa.String(64), nullable=False),
        sa.Column("ends", sa.JSON),
        sa.Column("began_at", sa.Float, nullable=False),
        sa.Column("seq", sa.BigInteger),
        sa.Column("digest", sa.String(32)),
        sa.Column("event", sa.LargeBinary),
    )
    op.add_column("streams", sa.Column("event_key", sa.Integer, nullable=False, server_default="0"))
    keys = sa.table(
        "keys",
        sa.column("kid", sa.String),
        sa.column("use", sa.String),
        sa.column("public_jwk", sa.JSON),
        sa.column("created_at", sa.Float),
    )
    query = sa.select(keys.c.kid, keys.c.public_jwk, keys.c.created_at).where(keys.c.use == "event")
    row = op.get_bind().execute(query).first()
    if row is not None:
        first = {"generation": 0, "kid": row.kid, "public_jwk": row.public_jwk, "successor": "", "ends": None}
        op.bulk_insert(event_keys, [{**first, "began_at": row.created_at}])
