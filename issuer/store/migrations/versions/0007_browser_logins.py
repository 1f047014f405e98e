"""Logins in browsers: sessions, authorization codes, consents, and what clients must say of themselves for it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the tables."""
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        op.add_column("clients", sa.Column(name, sa.JSON, nullable=False, server_default="[]"))
    for name in ("public", "skip_consent"):
        op.add_column("clients", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "sessions",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("sid", sa.String(64), nullable=False, unique=True),
        sa.Column("sub", sa.String(128), nullable=False),
        sa.Column("gsq", sa.BigInteger, nullable=False),
        sa.Column("auth_time", sa.Float, nullable=False),
        sa.Column("amr", sa.JSON, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "codes",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("client_id", sa.String(128), sa.ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
        sa.Column("redirect_uri", sa.String(2048), nullable=False),
        sa.Column("code_challenge", sa.String(64), nullable=False),
        sa.Column("nonce", sa.String(512)),
        sa.Column("sub", sa.String(128), nullable=False),
        sa.Column("sid", sa.String(64), nullable=False),
        sa.Column("scope", sa.JSON, nullable=False),
        sa.Column("audience", sa.JSON, nullable=False),
        sa.Column("gsq", sa.BigInteger, nullable=False),
        sa.Column("auth_time", sa.Float, nullable=False),
        sa.Column("amr", sa.JSON, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("used_at", sa.Float),
        sa.Column("family", sa.String(64)),
    )
    op.create_index("ix_codes_expires_at", "codes", ["expires_at"])
    op.create_table(
        "consents",
        sa.Column("sub", sa.String(128), primary_key=True),
        sa.Column(
            "client_id", sa.String(128), sa.ForeignKey("clients.client_id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("scope", sa.String(128), primary_key=True),
        sa.Column("given_at", sa.Float, nullable=False),
    )
