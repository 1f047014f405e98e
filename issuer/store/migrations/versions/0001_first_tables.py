"""First tables. Written out, not taken from ``schema``: a migration stays what it was."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table of the first schema."""
    streams = op.create_table(
        "streams",
        sa.Column("stream", sa.String(32), primary_key=True),
        sa.Column("head", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("published", sa.BigInteger, nullable=False),
    )
    first = 1 << 40  # incarnation 1, number 0: nothing has been said yet
    op.bulk_insert(
        streams,
        [
            {"stream": stream, "head": first, "floor": first + 1, "time": 0.0, "published": first}
            for stream in ("keys", "revocations", "heartbeats")
        ],
    )
    op.create_table(
        "outbox",
        sa.Column("stream", sa.String(32), sa.ForeignKey("streams.stream"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("type", sa.String(128), nullable=False),
        sa.Column("txn", sa.String(64), nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("target", sa.BigInteger),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("reason", sa.String(1024), nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_outbox_target", "outbox", ["stream", "target"])
    op.create_index("ix_outbox_expires_at", "outbox", ["stream", "expires_at"])
    op.create_table(
        "ceilings",
        sa.Column("seconds", sa.Float, primary_key=True),
        sa.Column("last_used", sa.Float, nullable=False),
    )
    leases = op.create_table(
        "leases",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.bulk_insert(leases, [{"name": "relay", "holder": "", "fence": 0, "expires_at": 0.0}])
    op.create_table(
        "keys",
        sa.Column("kid", sa.String(64), primary_key=True),
        sa.Column("use", sa.String(16), nullable=False),
        sa.Column("alg", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("public_jwk", sa.JSON, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("kek_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    )
    op.create_index("ix_keys_use", "keys", ["use"])
    op.create_table(
        "clients",
        sa.Column("client_id", sa.String(128), primary_key=True),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("grants", sa.JSON, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("audiences", sa.JSON, nullable=False),
        sa.Column("token_lifetime", sa.Float),
        sa.Column("token_alg", sa.String(16)),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "client_secrets",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("client_id", sa.String(128), sa.ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("ix_client_secrets_client_id", "client_secrets", ["client_id"])
