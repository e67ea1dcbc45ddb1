"""Live rows remember when a reading last came that was not the device's newest, so that a picture of the fleet re-reads only what changed."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for side in ("vehicle", "meter"):
        op.execute(f"ALTER TABLE live_{side} ADD COLUMN late_at timestamptz")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
