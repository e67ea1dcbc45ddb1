"""Keys of devices and programs, how each fared, and a record of who changed what that is not about alerts.

Plain tables on the coordinator, like everything people do.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_BY = "CHECK (length({name}) BETWEEN 1 AND 200)"


def upgrade() -> None:
    _keys()
    _audit()


def _keys() -> None:
    # `version`: the number of the newest change of this key. Numbers are given under the lock of the one row of device_key_version, so that
    # they are seen in their order: whoever has read all up to a number misses nothing by reading what is above it.
    # Only hashes of secrets are kept. Keys are revoked, never deleted: the record of who wrote stays readable.
    op.execute(f"""
        CREATE TABLE device_key (
            key_id text COLLATE "C" PRIMARY KEY CHECK (length(key_id) BETWEEN 1 AND 64),
            name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
            rights text[] NOT NULL CHECK (cardinality(rights) > 0 AND rights <@ ARRAY['write', 'read', 'admin']),
            binding text COLLATE "C" NOT NULL CHECK (binding IN ('none', 'device', 'list', 'site', 'gateway')),
            vehicle_ids text[] NOT NULL DEFAULT '{{}}',
            meter_ids text[] NOT NULL DEFAULT '{{}}',
            site_id text COLLATE "C" CHECK (length(site_id) BETWEEN 1 AND 64),
            secret_hash bytea NOT NULL CHECK (length(secret_hash) = 32),
            previous_hash bytea CHECK (length(previous_hash) = 32),
            previous_until timestamptz,
            expires_at timestamptz,
            created_at timestamptz NOT NULL,
            created_by text NOT NULL {_BY.format(name="created_by")},
            rotated_at timestamptz,
            revoked_at timestamptz,
            version bigint NOT NULL,
            CHECK ((binding = 'none') = NOT ('write' = ANY (rights))),
            CHECK ((binding = 'site') = (site_id IS NOT NULL)),
            CHECK (binding <> 'device' OR cardinality(vehicle_ids) + cardinality(meter_ids) = 1),
            CHECK (binding <> 'list' OR cardinality(vehicle_ids) + cardinality(meter_ids) > 0),
            CHECK (binding IN ('device', 'list') OR cardinality(vehicle_ids) + cardinality(meter_ids) = 0),
            CHECK ((previous_hash IS NULL) = (previous_until IS NULL))
        )""")
    op.execute("CREATE INDEX device_key_version_of ON device_key (version)")
    op.execute("CREATE TABLE device_key_version (one boolean PRIMARY KEY DEFAULT true CHECK (one), version bigint NOT NULL)")
    op.execute("INSERT INTO device_key_version (version) VALUES (0)")
    # Apart from the keys, so that using one does not look like a change of it. Written once a minute by every process that saw it.
    op.execute("""
        CREATE TABLE device_key_use (
            key_id text COLLATE "C" PRIMARY KEY REFERENCES device_key,
            last_used_at timestamptz,
            refused bigint NOT NULL DEFAULT 0,
            last_refused_at timestamptz,
            last_refused_code text CHECK (length(last_refused_code) <= 64)
        )""")


def _audit() -> None:
    # `before` and `after` never hold anything secret.
    op.execute(f"""
        CREATE TABLE audit (
            audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL,
            by text NOT NULL {_BY.format(name="by")},
            action text COLLATE "C" NOT NULL CHECK (length(action) BETWEEN 1 AND 64),
            subject text COLLATE "C" NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
            before jsonb,
            after jsonb,
            note text CHECK (length(note) <= 2000)
        )""")
    op.execute("CREATE INDEX audit_subject ON audit (subject, audit_id)")
    op.execute("""
        CREATE FUNCTION refuse_changing_audit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'audit is a record: rows are added, never changed or deleted';
        END $$""")
    op.execute("""
        CREATE TRIGGER refuse_changing_audit BEFORE UPDATE OR DELETE ON audit
        FOR EACH ROW EXECUTE FUNCTION refuse_changing_audit()""")
    op.execute("""
        CREATE TRIGGER refuse_emptying_audit BEFORE TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_changing_audit()""")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
