"""What is expected of each vehicle: what its days taught, the bands learned from that, and the number that says whether any of it changed."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_LEARNED = """charger_class text NOT NULL,
            share double precision NOT NULL,
            overhead_kw double precision NOT NULL,
            error double precision NOT NULL CHECK (error > 0),
            variance_share double precision NOT NULL,
            covariance double precision NOT NULL,
            variance_overhead double precision NOT NULL,
            observations integer NOT NULL CHECK (observations > 0),
            sessions integer NOT NULL CHECK (sessions > 0),
            days integer NOT NULL CHECK (days > 0),
            learned_at timestamptz NOT NULL"""


def upgrade() -> None:
    op.execute("CREATE TABLE expectation_version (one boolean PRIMARY KEY DEFAULT true CHECK (one), version bigint NOT NULL)")
    op.execute("INSERT INTO expectation_version (version) VALUES (1)")
    op.execute(f"""
        CREATE TABLE learned_band (
            vehicle_id text COLLATE "C" NOT NULL,
            {_LEARNED},
            frozen_since timestamptz,
            PRIMARY KEY (vehicle_id, charger_class)
        )""")
    op.execute(f"""
        CREATE TABLE peer_band (
            model text NOT NULL,
            {_LEARNED},
            PRIMARY KEY (model, charger_class)
        )""")
    op.execute("""
        CREATE TABLE learned_charger (
            meter_id text COLLATE "C" PRIMARY KEY,
            peak_w integer NOT NULL CHECK (peak_w > 0),
            learned_at timestamptz NOT NULL
        )""")
    # A vehicle's day at one meter: the hours of sessions judged ok, the peaks of all that could be judged, and whether the newest was low.
    # By meter, not class: which class a charger is of is itself learned, and what was taken before then counts for the right one.
    op.execute("""
        CREATE TABLE lesson (
            vehicle_id text COLLATE "C" NOT NULL,
            day date NOT NULL,
            meter_id text COLLATE "C" NOT NULL,
            sessions integer NOT NULL,
            ac_milliwh bigint[] NOT NULL,
            dc_milliwh bigint[] NOT NULL,
            charging_s integer[] NOT NULL,
            peaks_w integer[] NOT NULL,
            newest_at timestamptz NOT NULL,
            newest_is_low boolean NOT NULL,
            PRIMARY KEY (vehicle_id, day, meter_id)
        )""")
    op.execute("CREATE INDEX lesson_day ON lesson (day)")
    op.execute("CREATE TABLE lesson_taken (day date PRIMARY KEY, taken_at timestamptz NOT NULL)")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
