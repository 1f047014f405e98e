"""Devices that wait to be let in, and the user codes that people got wrong."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "devices",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("user_code", sa.String(16), nullable=False, unique=True),
        sa.Column("client_id", sa.String(128), sa.ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
        sa.Column("scope", sa.JSON, nullable=False),
        sa.Column("audience", sa.JSON, nullable=False),
        sa.Column("interval", sa.Integer, nullable=False),
        sa.Column("polled_at", sa.Float),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("denied", sa.Boolean, nullable=False),
        sa.Column("sub", sa.String(128)),
        sa.Column("sid", sa.String(64)),
        sa.Column("gsq", sa.BigInteger),
        sa.Column("auth_time", sa.Float),
        sa.Column("amr", sa.JSON),
        sa.Column("used_at", sa.Float),
    )
    op.create_index("ix_devices_expires_at", "devices", ["expires_at"])
    op.create_table(
        "user_code_guesses",
        sa.Column("sub", sa.String(128), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("ends_at", sa.Float, nullable=False),
    )
