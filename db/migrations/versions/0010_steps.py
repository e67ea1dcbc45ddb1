"""The smallest increment that a device's counter has shown, learned beside its rhythm: an hour of steady charging shows none."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("live_vehicle", "live_meter"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN step_milliwh integer CHECK (step_milliwh > 0)")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
