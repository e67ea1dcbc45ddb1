"""A calendar of gaps: devices by hours, those with the most missing first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from charging.reporting import Device, share_of_day, shares
from db.engine import Conn
from db.queries import gaps
from db.sides import METER, VEHICLE

HOURS = 7 * 24
PAGE = 50  # devices: a screen of rows, read in some ten milliseconds
_QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Row:
    """A device, the readings of each hour, and which part of those due they are; None before its first reading, and no part in its first hour."""

    device: Device
    readings: Sequence[int | None]
    shares: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Calendar:
    """`start` is the beginning of the first hour; the hour at `now` is the last and still running. `devices` counts all that match."""

    start: datetime
    now: datetime
    rows: Sequence[Row]
    devices: int


def day_totals(conn: Conn, side: str, now: datetime) -> dict[str, int]:
    """What every device reported in the last 24 hours, as whole quarters: one look at a fleet's day, so ask once a minute."""
    end = now.replace(minute=now.minute - now.minute % 15, second=0, microsecond=0)
    return gaps.totals(conn, VEHICLE if side == "vehicle" else METER, end - 96 * _QUARTER, end)


def worst_first(devices: Sequence[Device], totals: Mapping[str, int]) -> list[Device]:
    """Those that ever reported, by the part of the last day's readings that came."""
    seen = [device for device in devices if device.recorded_at is not None]
    return sorted(seen, key=lambda d: (share_of_day(totals.get(d.device_id, 0), d.rhythm), d.recorded_at, d.device_id))


def calendar(conn: Conn, ranked: Sequence[Device], page: int, now: datetime) -> Calendar:
    """A page of these devices of one side, in their order."""
    shown = ranked[(page - 1) * PAGE : page * PAGE]
    newest = gaps.hour_of(now)
    start = newest - (HOURS - 1) * gaps.HOUR
    if not shown:
        return Calendar(start, now, [], len(ranked))
    side = VEHICLE if shown[0].side == "vehicle" else METER
    found = gaps.hours(conn, side, [device.device_id for device in shown], start, HOURS)
    return Calendar(start, now, [_row(device, found[device.device_id], now - newest) for device in shown], len(ranked))


def _row(device: Device, readings: Sequence[int | None], passed: timedelta) -> Row:
    """The hour in which a device first reported is not judged: nobody knows how much of it there was to report."""
    found = shares(readings, device.rhythm, passed)
    if readings[0] is None and (begun := next((n for n, one in enumerate(readings) if one is not None), None)) is not None:
        found[begun] = None
    return Row(device, readings, found)
