"""The lock of the leader, and its epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make their rows."""
    leases = sa.table(
        "leases",
        sa.column("name", sa.String),
        sa.column("holder", sa.String),
        sa.column("fence", sa.BigInteger),
        sa.column("expires_at", sa.Float),
    )
    rows = [{"name": name, "holder": "", "fence": 0, "expires_at": 0.0} for name in ("leader", "leader-epoch")]
    op.bulk_insert(leases, rows)
