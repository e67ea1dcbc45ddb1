"""Who changed an assignment, when, and what held before; a site's tariff; by which thresholds a site or a vehicle is judged."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

DEVICE_ID = "'^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$'"
# Taken by db.assignments too: shared by whoever changes one vehicle, whole by a file of many. Then the vehicle's own.
ALL_VEHICLES_LOCK = 4_096_115_006
ONE_VEHICLE_SEED = 4_096_115


def upgrade() -> None:
    _changes()
    _fleet_mapping()
    _facts()


def _changes() -> None:
    # Plain on the coordinator, like everything people do. `valid_from` is -infinity where it reads "from always", `valid_to` null where open.
    op.execute(f"""
        CREATE TABLE assignment_change (
            change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            changed_at timestamptz NOT NULL,
            changed_by text NOT NULL CHECK (length(changed_by) BETWEEN 1 AND 200),
            via text NOT NULL CHECK (via IN ('api', 'sql', 'bulk', 'cli')),
            vehicle_id text COLLATE "C" NOT NULL CHECK (vehicle_id ~ {DEVICE_ID}),
            valid_from timestamptz NOT NULL,
            valid_to timestamptz CHECK (valid_to > valid_from),
            meter_before text COLLATE "C" CHECK (meter_before ~ {DEVICE_ID}),
            meter_after text COLLATE "C" CHECK (meter_after ~ {DEVICE_ID}),
            corrects_past boolean NOT NULL,
            note text CHECK (length(note) <= 500),
            CHECK (meter_before IS DISTINCT FROM meter_after)
        )""")
    op.execute("CREATE INDEX assignment_change_vehicle ON assignment_change (vehicle_id, change_id)")
    op.execute("CREATE INDEX assignment_change_before ON assignment_change (meter_before, change_id)")
    op.execute("CREATE INDEX assignment_change_after ON assignment_change (meter_after, change_id)")
    op.execute("""
        CREATE FUNCTION refuse_changing_the_record() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'assignment_change is a record: rows are added, never changed or deleted';
        END $$""")
    op.execute("""
        CREATE TRIGGER refuse_changing_the_record BEFORE UPDATE OR DELETE ON assignment_change
        FOR EACH ROW EXECUTE FUNCTION refuse_changing_the_record()""")


def _fleet_mapping() -> None:
    """The view's own way of assigning: what `db.assignments.assign` does without a beginning or an end, and recorded likewise."""
    op.execute(f"""
        CREATE FUNCTION assign_in_sql(vehicle text, meter text) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            beginning timestamptz;
            ending timestamptz;
            before text;
            known boolean;
        BEGIN
            PERFORM pg_advisory_xact_lock_shared({ALL_VEHICLES_LOCK});
            PERFORM pg_advisory_xact_lock(hashtextextended(vehicle, {ONE_VEHICLE_SEED}));
            SELECT count(*) > 0 INTO known FROM assignment a WHERE a.vehicle_id = vehicle;
            beginning := CASE WHEN known THEN now() ELSE '-infinity' END;
            SELECT a.meter_id INTO before FROM assignment a
            WHERE a.vehicle_id = vehicle AND a.valid_from <= beginning ORDER BY a.valid_from DESC LIMIT 1;
            IF known AND before IS NOT DISTINCT FROM meter THEN
                RETURN;
            END IF;
            SELECT min(a.valid_from) INTO ending FROM assignment a WHERE a.vehicle_id = vehicle AND a.valid_from > beginning;
            INSERT INTO assignment VALUES (vehicle, beginning, meter)
            ON CONFLICT (vehicle_id, valid_from) DO UPDATE SET meter_id = excluded.meter_id;
            INSERT INTO assignment_change (changed_at, changed_by, via, vehicle_id, valid_from, valid_to, meter_before, meter_after, corrects_past)
            VALUES (now(), session_user, 'sql', vehicle, beginning, ending, before, meter, false);
        END $$""")
    op.execute("""
        CREATE OR REPLACE FUNCTION write_fleet_mapping() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND NEW."vehicleId" <> OLD."vehicleId") THEN
                PERFORM assign_in_sql(OLD."vehicleId", NULL);
            END IF;
            IF TG_OP <> 'DELETE' THEN
                IF NEW."vehicleId" IS NULL OR NEW."meterId" IS NULL THEN
                    RAISE not_null_violation USING MESSAGE = 'fleet_mapping needs "vehicleId" and "meterId"';
                END IF;
                PERFORM assign_in_sql(NEW."vehicleId", NEW."meterId");
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        END $$""")


def _facts() -> None:
    """Null says: as what is above it, vehicle below site below the settings. Money is in the operator's own currency."""
    op.execute("""
        ALTER TABLE site ADD COLUMN tariff_per_kwh numeric CHECK (tariff_per_kwh BETWEEN 0 AND 1000000),
                         ADD COLUMN co2_kg_per_kwh numeric CHECK (co2_kg_per_kwh BETWEEN 0 AND 10)""")
    for table in ("site", "vehicle"):
        op.execute(f"""
            ALTER TABLE {table} ADD COLUMN thresholds text CHECK (thresholds IN ('band', 'plain')),
                                ADD COLUMN plain_low double precision CHECK (plain_low > 0 AND plain_low < 1),
                                ADD COLUMN plain_critical double precision CHECK (plain_critical > 0 AND plain_critical < 1),
                                ADD CHECK (plain_critical < plain_low)""")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
