"""The points that charts are drawn of, read from the database: readings where these are few enough, and buckets where not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from dashboard.over import Detail
from db.engine import Conn
from db.queries import history
from db.queries.history import Bucket, MeterPoint, VehiclePoint

# Readings of a side that a chart draws one by one: six hours of one every six seconds. What is denser is shown by the quarter.
MOST_READINGS = 3_600
# How long before a window its first reading's predecessor may be, which says how long its energy took.
_BEFORE = timedelta(minutes=15)
# How long after a window a charge that is marked in it may end.
_GOES_ON = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Curves:
    """Both sides' points, and what a point is. Readings come with their predecessors."""

    vehicle: Sequence[VehiclePoint]
    meter: Sequence[MeterPoint]
    bucket: Bucket
    point_s: int


def read(conn: Conn, vehicle_id: str | None, meter_id: str | None, start: datetime, end: datetime, fine: Detail) -> Curves:
    """Of (start, end], as fine as `fine` or a step coarser; a side without an id is empty."""
    since = start - _BEFORE if fine.bucket == "raw" else start
    most = MOST_READINGS + 1 if fine.bucket == "raw" else None
    vehicle = list(islice(history.stream_vehicle_points(conn, vehicle_id, since, end, fine.bucket), most)) if vehicle_id else []
    meter = list(islice(history.stream_meter_points(conn, meter_id, since, end, fine.bucket), most)) if meter_id else []
    if most in (len(vehicle), len(meter)):
        return read(conn, vehicle_id, meter_id, start, end, Detail(fine.bin_s, "15m", 900))
    return Curves(vehicle, meter, fine.bucket, fine.point_s)


def marked_until(end: datetime, now: datetime) -> datetime:
    """Up to when a session may have ended that is marked in a window up to `end`."""
    return max(end, min(now, end + _GOES_ON))
