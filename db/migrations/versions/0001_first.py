"""History by day, live state, 15-minute rollups, assignments, descriptions of devices."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME_CHECK = "recorded_at >= '2000-01-01 00:00+00' AND recorded_at < '2200-01-01 00:00+00'"
POSITION = """latitude_e7 integer CHECK (latitude_e7 BETWEEN -900000000 AND 900000000),
    longitude_e7 integer CHECK (longitude_e7 BETWEEN -1800000000 AND 1800000000)"""

SIDES = (
    (
        "vehicle",
        "dc_milliwh",
        (("soc_centi_pct", "smallint", 0, 10000), ("battery_temp_centi_c", "smallint", -6000, 15000)),
    ),
    ("meter", "ac_milliwh", (("voltage_centi_v", "integer", 0, 100000),)),
)


def upgrade() -> None:
    for side, energy, measures in SIDES:
        _history(side, energy, measures)
        _live(side, energy, measures)
        _rollup(side, energy, measures)
    _views()
    _assignments()
    _descriptions()
    op.execute("""
        CREATE TABLE history_day (
            day date PRIMARY KEY,
            created_at timestamptz NOT NULL,
            was_old boolean NOT NULL
        )""")


def _values(energy: str, measures: tuple[tuple[str, str, int, int], ...]) -> str:
    columns = [f"{energy} integer NOT NULL CHECK ({energy} BETWEEN 0 AND 50000000)"]
    columns += [f"{name} {kind} CHECK ({name} BETWEEN {low} AND {high})" for name, kind, low, high in measures]
    return ",\n    ".join(columns)


def _history(side: str, energy: str, measures: tuple[tuple[str, str, int, int], ...]) -> None:
    op.execute(f"""
        CREATE TABLE {side}_history (
            {side}_id text COLLATE "C" NOT NULL,
            recorded_at timestamptz NOT NULL CHECK ({TIME_CHECK}),
            received_at timestamptz NOT NULL,
            {_values(energy, measures)},
            {POSITION},
            PRIMARY KEY ({side}_id, recorded_at)
        ) PARTITION BY RANGE (recorded_at)""")
    op.execute(f"CREATE INDEX {side}_history_recorded_at ON {side}_history USING brin (recorded_at)")


def _live(side: str, energy: str, measures: tuple[tuple[str, str, int, int], ...]) -> None:
    op.execute(f"""
        CREATE TABLE live_{side} (
            {side}_id text COLLATE "C" PRIMARY KEY,
            recorded_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            previous_at timestamptz,
            {_values(energy, measures)},
            {POSITION},
            position_at timestamptz,
            rhythm_s integer CHECK (rhythm_s > 0),
            rhythm_learned_at timestamptz
        ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)""")


def _rollup(side: str, energy: str, measures: tuple[tuple[str, str, int, int], ...]) -> None:
    sums = ",\n".join(
        f"{name}_sum bigint NOT NULL, {name}_count integer NOT NULL, {name}_min {kind}, {name}_max {kind}" for name, kind, _, _ in measures
    )
    op.execute(f"""
        CREATE TABLE {side}_rollup (
            {side}_id text COLLATE "C" NOT NULL,
            bucket timestamptz NOT NULL,
            readings integer NOT NULL,
            charging_readings integer NOT NULL,
            {energy} bigint NOT NULL,
            smallest_milliwh integer,
            first_at timestamptz NOT NULL,
            last_at timestamptz NOT NULL,
            charging_first_at timestamptz,
            charging_last_at timestamptz,
            {sums},
            PRIMARY KEY ({side}_id, bucket)
        ) PARTITION BY RANGE (bucket)""")


def _views() -> None:
    op.execute("""
        CREATE VIEW vehicle_readings AS
        SELECT vehicle_id, recorded_at, received_at, dc_milliwh / 1000000.0 AS kwh_delivered_dc, soc_centi_pct / 100.0 AS soc_pct,
               battery_temp_centi_c / 100.0 AS battery_temp_c, latitude_e7 / 1e7 AS latitude, longitude_e7 / 1e7 AS longitude
        FROM vehicle_history""")
    op.execute("""
        CREATE VIEW meter_readings AS
        SELECT meter_id, recorded_at, received_at, ac_milliwh / 1000000.0 AS kwh_consumed_ac, voltage_centi_v / 100.0 AS voltage_v,
               latitude_e7 / 1e7 AS latitude, longitude_e7 / 1e7 AS longitude
        FROM meter_history""")


def _assignments() -> None:
    op.execute("""
        CREATE TABLE assignment (
            vehicle_id text COLLATE "C" NOT NULL CHECK (vehicle_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$'),
            valid_from timestamptz NOT NULL,
            meter_id text COLLATE "C" CHECK (meter_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$'),
            PRIMARY KEY (vehicle_id, valid_from)
        )""")
    op.execute("CREATE INDEX assignment_meter ON assignment (meter_id)")
    op.execute("""
        CREATE VIEW fleet_mapping AS
        SELECT vehicle_id AS "vehicleId", meter_id AS "meterId"
        FROM (SELECT DISTINCT ON (vehicle_id) vehicle_id, meter_id FROM assignment WHERE valid_from <= now() ORDER BY vehicle_id, valid_from DESC) newest
        WHERE meter_id IS NOT NULL""")
    # The reference writes this table by hand, in SQL: a first mapping holds from always, a later one from now, and nothing past changes.
    op.execute("""
        CREATE FUNCTION write_fleet_mapping() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND NEW."vehicleId" <> OLD."vehicleId") THEN
                INSERT INTO assignment VALUES (OLD."vehicleId", now(), NULL)
                ON CONFLICT (vehicle_id, valid_from) DO UPDATE SET meter_id = NULL;
            END IF;
            IF TG_OP <> 'DELETE' THEN
                IF NEW."vehicleId" IS NULL OR NEW."meterId" IS NULL THEN
                    RAISE not_null_violation USING MESSAGE = 'fleet_mapping needs "vehicleId" and "meterId"';
                END IF;
                INSERT INTO assignment
                SELECT NEW."vehicleId", CASE WHEN EXISTS (SELECT FROM assignment a WHERE a.vehicle_id = NEW."vehicleId") THEN now() ELSE '-infinity' END, NEW."meterId"
                ON CONFLICT (vehicle_id, valid_from) DO UPDATE SET meter_id = excluded.meter_id;
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        END $$""")
    op.execute("""
        CREATE TRIGGER write_fleet_mapping INSTEAD OF INSERT OR UPDATE OR DELETE ON fleet_mapping
        FOR EACH ROW EXECUTE FUNCTION write_fleet_mapping()""")


def _descriptions() -> None:
    op.execute(f"""
        CREATE TABLE site (
            site_id text COLLATE "C" PRIMARY KEY,
            name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
            {POSITION},
            time_zone text NOT NULL DEFAULT 'UTC'
        )""")
    op.execute("""
        CREATE TABLE vehicle (
            vehicle_id text COLLATE "C" PRIMARY KEY,
            name text CHECK (length(name) BETWEEN 1 AND 200),
            model text CHECK (length(model) BETWEEN 1 AND 200),
            site_id text COLLATE "C" REFERENCES site
        )""")
    op.execute(f"""
        CREATE TABLE meter (
            meter_id text COLLATE "C" PRIMARY KEY,
            name text CHECK (length(name) BETWEEN 1 AND 200),
            rated_w integer CHECK (rated_w BETWEEN 1 AND 10000000),
            site_id text COLLATE "C" REFERENCES site,
            {POSITION}
        )""")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
