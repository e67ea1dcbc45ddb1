"""A day remembers that it was made small after it was over, so that this is done once."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE history_day ADD COLUMN compacted_at timestamptz")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
