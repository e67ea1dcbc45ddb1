"""A day remembers that a person dropped its readings, so that it takes no late ones and its sums are not counted twice."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE history_day ADD COLUMN dropped_at timestamptz")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
