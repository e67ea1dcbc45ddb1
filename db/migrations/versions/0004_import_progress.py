"""How far files have been imported, so that an import that was interrupted goes on where it was."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE import_progress (
            file text COLLATE "C" NOT NULL,
            fingerprint text COLLATE "C" NOT NULL,
            part smallint NOT NULL,
            position bigint NOT NULL,
            next_line bigint NOT NULL,
            readings bigint NOT NULL,
            accepted bigint NOT NULL,
            duplicates bigint NOT NULL,
            conflicts bigint NOT NULL,
            codes jsonb NOT NULL,
            updated_at timestamptz NOT NULL,
            PRIMARY KEY (file, part)
        )""")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
