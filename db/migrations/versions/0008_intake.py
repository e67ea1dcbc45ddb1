"""What came in, by minute: kept for a while, for whoever runs it. Statistics about readings, never readings."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain on the coordinator: a few rows a minute, to which every web process adds.
    op.execute("""
        CREATE TABLE intake_minute (
            minute timestamptz NOT NULL,
            side text COLLATE "C" NOT NULL CHECK (side IN ('vehicle', 'meter')),
            accepted bigint NOT NULL,
            duplicates bigint NOT NULL,
            conflicts bigint NOT NULL,
            rejected bigint NOT NULL,
            lag_ms bigint NOT NULL,
            lagged bigint NOT NULL,
            late bigint NOT NULL,
            PRIMARY KEY (minute, side)
        )""")
    op.execute("""
        CREATE TABLE intake_reject (
            minute timestamptz NOT NULL,
            what text COLLATE "C" NOT NULL CHECK (what IN ('reading', 'request')),
            code text COLLATE "C" NOT NULL CHECK (length(code) BETWEEN 1 AND 64),
            count bigint NOT NULL,
            samples jsonb NOT NULL,
            PRIMARY KEY (minute, what, code)
        )""")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
