"""Users, and the families of tokens that come of their consent."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create their tables."""
    op.create_table(
        "users",
        sa.Column("sub", sa.String(128), primary_key=True),
        sa.Column("username", sa.String(128), nullable=False, unique=True),
        sa.Column("password", sa.String(256)),
        sa.Column("claims", sa.JSON, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    )
    op.create_table(
        "families",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("grant_type", sa.String(128), nullable=False),
        sa.Column("client_id", sa.String(128), sa.ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
        sa.Column("sub", sa.String(128), nullable=False),
        sa.Column("scope", sa.JSON, nullable=False),
        sa.Column("audience", sa.JSON, nullable=False),
        sa.Column("gsq", sa.BigInteger, nullable=False),
        sa.Column("auth_time", sa.Float, nullable=False),
        sa.Column("claims", sa.JSON, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float),
    )
    op.create_index("ix_families_expires_at", "families", ["expires_at"])
    op.create_index("ix_families_client_id", "families", ["client_id"])
    op.create_table(
        "refresh_tokens",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("family", sa.String(64), sa.ForeignKey("families.id", ondelete="CASCADE"), nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("used_at", sa.Float),
        sa.Column("successor", sa.LargeBinary),
    )
    op.create_index("ix_refresh_tokens_family", "refresh_tokens", ["family"])
