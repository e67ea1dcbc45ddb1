"""Who was assigned to which meter when, for the questions that go by stretches."""

from collections.abc import Sequence

from charging.feeds import Assigned
from db.arrays import texts as text_array
from db.engine import Conn
from db.gathered import gathered, ints, read, texts

_EVER_US = (1 << 63) - 1  # how PostgreSQL sends infinity


def assigned(conn: Conn, vehicle_ids: Sequence[str] | None, meter_ids: Sequence[str] = ()) -> list[Assigned]:
    """All assignments of these vehicles (None: of everyone), of whoever was ever on these meters, and of whoever was on a meter of theirs."""
    if vehicle_ids is None:
        arrays = read(conn, f"WITH {_TIMELINE.format(which='')} {_GATHERED}", {})
    else:
        arrays = read(conn, _SOME, {"vehicles": text_array(list(vehicle_ids)), "meters": text_array(list(meter_ids))})
    columns = (ints(arrays[f"timeline_{name}"]).tolist() for name in ("valid_from", "valid_to"))
    rows = zip(texts(arrays["timeline_vehicle_id"]), texts(arrays["timeline_meter_id"]), *columns, strict=True)
    return [Assigned(vehicle_id, meter_id or None, since, until) for vehicle_id, meter_id, since, until in rows]


_TIMELINE = """timeline AS (
        SELECT vehicle_id, coalesce(meter_id, '') AS meter_id, valid_from,
               coalesce(lead(valid_from) OVER (PARTITION BY vehicle_id ORDER BY valid_from), 'infinity') AS valid_to
        FROM assignment {which}
    )"""
_GATHERED = gathered(("vehicle_id", "meter_id", "valid_from", "valid_to"), "timeline")
_SOME = f"""
    WITH named AS (
        SELECT vehicle_id, meter_id FROM assignment WHERE vehicle_id = ANY(%(vehicles)s) OR meter_id = ANY(%(meters)s)
    ), concerned AS (
        SELECT vehicle_id FROM named UNION SELECT a.vehicle_id FROM assignment a JOIN named USING (meter_id)
    ), {_TIMELINE.format(which="WHERE vehicle_id IN (SELECT vehicle_id FROM concerned)")}
    {_GATHERED}"""
