"""Where the vehicles are: who drives when, how far, and with how much charge they come back.

Each local day of each vehicle is drawn from (seed, vehicle, day) alone. So is the state of charge at every *return*, which is the
knot that makes the world the same wherever a simulation begins: whatever came before a return no longer matters after it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from simulator.fleet import Fleet
from simulator.noise import Floats, between, uniform
from simulator.physics import HEAT_C_PER_KWH

DAY_MIN = 1440
KM_PER_DEGREE = 111.2
NEAREST_KM = 5.0
SUNDAY = 6
LARGEST_HEAT_OF_DRIVING_C = 15.0

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Trips:
    """One trip per vehicle at most, from `start` until `end` (minutes since 1970 UTC; equal when there is none)."""

    start: Ints
    end: Ints
    soc_back_pct: Floats
    heat_back_c: Floats
    plug_in_after_min: Floats
    reach_km: Floats
    bearing_rad: Floats
    stops: Floats


@dataclass(frozen=True)
class Day:
    """A UTC day in matrices, a row per minute and a column per vehicle.

    `share_of_way` is how much of what is left of the trip this minute does: 1 in its last minute, 0 for the parked.
    """

    driving: Bools
    returning: Bools
    share_of_way: Floats
    soc_back_pct: Floats
    heat_back_c: Floats
    plug_in_after_min: Floats
    latitude: Floats
    longitude: Floats


@lru_cache(maxsize=512)
def utc_offset_min(time_zone: str, day: int) -> int:
    """Minutes that local clocks are ahead of UTC at noon of this day (days since 1970)."""
    noon = datetime(1970, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
    offset = noon.astimezone(ZoneInfo(time_zone)).utcoffset()
    return int((offset or timedelta()).total_seconds() // 60)


def offsets_min(fleet: Fleet, day: int) -> Ints:
    """Each vehicle's `utc_offset_min`."""
    return np.array([utc_offset_min(v.site.time_zone, day) for v in fleet.vehicles], dtype=np.int64)


def weekday(day: int) -> int:
    """0 = Monday, for a day counted since 1970."""
    return (date(1970, 1, 1) + timedelta(days=day)).weekday()


def trips_of_day(fleet: Fleet, day: int, never_rest: Bools) -> tuple[Trips, Trips]:
    """The first and second trip that begin on this local day.

    Half the vans are out once from morning to afternoon, three in ten come back to charge at midday, two in ten work at night.
    Most rest on Sundays.
    """
    seed, i = fleet.seed, fleet.index
    shift = uniform(seed, "shift", i)
    at_night, twice = shift >= 0.8, (shift >= 0.5) & (shift < 0.8)
    rests = (weekday(day) == SUNDAY) & (uniform(seed, "sunday", i) < 0.7) & ~never_rest
    leaves, returns = uniform(seed, "leave", i, day), uniform(seed, "return", i, day)

    leave_1 = np.where(at_night, between(1200, 1320, leaves), between(390, 510, leaves))
    return_1 = np.where(at_night, between(1680, 1800, returns), np.where(twice, between(690, 750, returns), between(930, 1080, returns)))
    leave_2 = between(790, 830, uniform(seed, "leave2", i, day))
    return_2 = between(990, 1110, uniform(seed, "return2", i, day))

    midday = twice & ~rests
    first = _trips(fleet, day, 1, leave_min=leave_1, return_min=np.where(rests, leave_1, return_1), last_of_day=~midday)
    second = _trips(fleet, day, 2, leave_min=leave_2, return_min=np.where(midday, return_2, leave_2), last_of_day=midday)
    return first, second


def _trips(fleet: Fleet, day: int, nth: int, *, leave_min: Floats, return_min: Floats, last_of_day: Bools) -> Trips:
    u = uniform(fleet.seed, "trip", fleet.index[:, None], day, nth, np.arange(8)[None, :]).T
    midnight = day * DAY_MIN - offsets_min(fleet, day)
    sites = [v.site for v in fleet.vehicles]
    bearing_from, bearing_to = np.array([s.bearing_from for s in sites]), np.array([s.bearing_to for s in sites])
    # A midday return comes back fuller than any evening return, so that no trip has to end with more charge than it began with.
    soc = np.where(last_of_day, between(18, 42, u[0]), between(45, 60, u[0]))
    starts = _timer_min(fleet, return_min, u[2])
    waits = last_of_day & (starts > return_min)
    return Trips(
        start=midnight + leave_min.astype(np.int64),
        end=midnight + return_min.astype(np.int64),
        soc_back_pct=soc,
        heat_back_c=_heat_of_driving_c(fleet, u[1]),
        plug_in_after_min=np.floor(np.where(waits, starts - return_min, between(2, 12, u[2]))),
        reach_km=between(NEAREST_KM, np.array([s.reach_km for s in sites]), u[3]),
        bearing_rad=np.radians(between(bearing_from, bearing_to, u[4])),
        stops=np.floor(between(6, 18, u[5])),
    )


def _heat_of_driving_c(fleet: Fleet, u: Floats) -> Floats:
    """How much warmer than the air a battery is after a trip, °C: 0.3 for each kWh, and a trip takes half to three quarters of a charge."""
    used_kwh = between(0.5, 0.75, u) * fleet.chargers.battery_kwh
    return np.minimum(LARGEST_HEAT_OF_DRIVING_C, HEAT_C_PER_KWH * used_kwh)


def _timer_min(fleet: Fleet, return_min: Floats, u: Floats) -> Floats:
    """When a timer starts the charge, minutes of the local day: 0 without one. A third wait for cheap hours or for the midday sun.

    Slow chargers have none: they need the whole rest to fill the battery.
    """
    has_timer = (uniform(fleet.seed, "timer", fleet.index) < 0.33) & (fleet.chargers.rated_kw > 5.0)
    midday_sun = DAY_MIN + 660.0 + 150.0 * u
    cheap_hours = 1350.0 + 60.0 * u
    return np.where(has_timer, np.where(return_min > DAY_MIN, midday_sun, cheap_hours), 0.0)


def day_of(fleet: Fleet, day: int, never_rest: Bools, home_latitude: Floats, home_longitude: Floats) -> Day:
    """Everything that the trips say about this UTC day (days since 1970); the homes are a row per minute, a column per vehicle."""
    shape = (DAY_MIN, len(fleet))
    picture = Day(
        driving=np.zeros(shape, dtype=bool),
        returning=np.zeros(shape, dtype=bool),
        share_of_way=np.zeros(shape),
        soc_back_pct=np.zeros(shape),
        heat_back_c=np.zeros(shape),
        plug_in_after_min=np.zeros(shape),
        latitude=home_latitude.copy(),
        longitude=home_longitude.copy(),
    )
    # A night shift that began yesterday is still out; east of Greenwich, tomorrow begins before midnight UTC.
    for local_day in (day - 1, day, day + 1):
        for trips in trips_of_day(fleet, local_day, never_rest):
            _paint(picture, trips, day)
    return picture


def _paint(picture: Day, trips: Trips, day: int) -> None:
    minute = day * DAY_MIN + np.arange(DAY_MIN)[:, None]
    rows, columns = np.nonzero((minute >= trips.start) & (minute < trips.end))
    if not len(rows):
        return
    at = (rows, columns)
    now = day * DAY_MIN + rows
    start, end = trips.start[columns], trips.end[columns]
    picture.driving[at] = True
    picture.returning[at] = end - now == 1
    picture.share_of_way[at] = 1.0 / (end - now)
    picture.soc_back_pct[at] = trips.soc_back_pct[columns]
    picture.heat_back_c[at] = trips.heat_back_c[columns]
    picture.plug_in_after_min[at] = trips.plug_in_after_min[columns]
    ahead_km, aside_km = route_km((now + 0.5 - start) / (end - start), trips.reach_km[columns], trips.stops[columns])
    north = ahead_km * np.cos(trips.bearing_rad[columns]) - aside_km * np.sin(trips.bearing_rad[columns])
    east = ahead_km * np.sin(trips.bearing_rad[columns]) + aside_km * np.cos(trips.bearing_rad[columns])
    home = picture.latitude[at]
    picture.latitude[at] = home + north / KM_PER_DEGREE
    picture.longitude[at] += east / (KM_PER_DEGREE * np.cos(np.radians(home)))


def route_km(progress: Floats, reach_km: Floats, stops: Floats) -> tuple[Floats, Floats]:
    """(ahead, aside) of home in km at this share of a trip: out on one side, a round of stops, back on the other."""
    leg = progress * stops
    moving = np.minimum((leg % 1.0) / 0.65, 1.0)  # the last third of every leg is spent standing at a customer's
    travelled = (np.floor(leg) + moving) / stops
    ahead = np.minimum(1.0, np.minimum(travelled, 1.0 - travelled) / 0.3)
    round_trip = 1.0 - 0.15 * np.sin(6.0 * np.pi * travelled) ** 2
    return reach_km * ahead * round_trip, reach_km * 0.22 * np.sin(2.0 * np.pi * travelled)
