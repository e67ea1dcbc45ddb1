"""People who log in, and their log-ins as rows: what ends one ends it everywhere.

Plain tables on the coordinator, like everything people do.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_BY = "CHECK (length({name}) BETWEEN 1 AND 200)"


def upgrade() -> None:
    # `email` is what people log in with, in small letters. `one_time_until`: the password was chosen by somebody else, opens until then and
    # must be changed first. People are disabled, never deleted: the record of who did what stays readable.
    op.execute(f"""
        CREATE TABLE person (
            person_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            email text COLLATE "C" NOT NULL UNIQUE CHECK (length(email) BETWEEN 3 AND 200 AND email = lower(email)),
            name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
            role text COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'technician', 'analyst', 'admin')),
            active boolean NOT NULL DEFAULT true,
            password_hash text COLLATE "C" NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
            password_at timestamptz NOT NULL,
            one_time_until timestamptz,
            created_at timestamptz NOT NULL,
            created_by text NOT NULL {_BY.format(name="created_by")},
            last_log_in_at timestamptz,
            failed bigint NOT NULL DEFAULT 0,
            last_failed_at timestamptz
        )""")
    # Only hashes of what the cookies hold. `ended_because`: logged out, changed the password, was disabled …
    op.execute("""
        CREATE TABLE log_in (
            token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
            person_id bigint NOT NULL REFERENCES person,
            made_at timestamptz NOT NULL,
            seen_at timestamptz NOT NULL,
            ended_at timestamptz,
            ended_because text CHECK (length(ended_because) BETWEEN 1 AND 200),
            address text NOT NULL CHECK (length(address) <= 64),
            agent text NOT NULL CHECK (length(agent) <= 300),
            CHECK ((ended_at IS NULL) = (ended_because IS NULL))
        )""")
    op.execute("CREATE INDEX log_in_open ON log_in (person_id) WHERE ended_at IS NULL")
    # Grows with every change that decides whom a log-in lets in as whom.
    op.execute("CREATE TABLE person_version (one boolean PRIMARY KEY DEFAULT true CHECK (one), version bigint NOT NULL)")
    op.execute("INSERT INTO person_version (version) VALUES (0)")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
