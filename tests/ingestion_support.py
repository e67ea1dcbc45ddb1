"""A made-up intake for the ingestion page: without a database, in any state."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any
from unittest.mock import patch

from charging import reporting
from charging.reporting import Device, SideName, matching, shares
from dashboard.pages.ingestion import loading, page
from dashboard.pages.ingestion.loading import DAY, STEP, Overview
from db.intake_log import MinuteCounts, Rejected, Sample
from db.queries.calendar import HOURS, PAGE, Calendar, Row
from db.queries.gaps import HOUR, hour_of
from db.retention import Day
from tests.browser_support import HOSTILE_NAME, FakeFleet

SITES = (("north", "Depot North"), ("south", "Depot South"))


def device(n: int, now: datetime, side: SideName = "vehicle", quiet: timedelta = timedelta(seconds=20), **changes: Any) -> Device:
    """The n-th of a side; it reported `quiet` ago."""
    site, name = SITES[n % 2]
    at = now - quiet
    facts: dict[str, Any] = {
        "side": side,
        "device_id": f"{side[:3]}-{n:03}",
        "name": HOSTILE_NAME if n == 3 else None,
        "site_id": site,
        "site_name": name,
    }
    facts |= {"recorded_at": at - timedelta(seconds=2), "received_at": at, "rhythm_s": 60, "described": True, "mapped": True}
    return Device(**(facts | changes))  # fmt: skip


def devices(now: datetime, size: int = 60) -> list[Device]:
    """Vehicles and meters: three silent ones, a stale one, one that never reported, one that is new, a clock that is ahead."""
    of_vehicles = [device(n, now, quiet=timedelta(hours=n + 1) if n < 3 else timedelta(minutes=8 if n == 4 else 0)) for n in range(size)]
    of_vehicles.append(device(900, now, recorded_at=None, received_at=None))
    meters = [device(n, now, "meter") for n in range(size)]
    meters.append(device(901, now, "meter", recorded_at=now + timedelta(seconds=90), described=False, mapped=False))
    return of_vehicles + meters


def overview(known: list[Device], now: datetime) -> Overview:
    """A day with a dip, some rejects, and a week of history."""
    end = now - loading.SETTLED
    end -= timedelta(seconds=end.timestamp() % STEP.total_seconds())
    counts = MinuteCounts(300, 5, 1, 2, 900_000, 300, 0)
    steps = [(end - DAY + n * STEP, side, counts) for n in range(288) if not 100 < n < 110 for side in ("meter", "vehicle")]
    sample: Sample = {"deviceId": "veh-007", "pointer": "/soc", "detail": "soc is 0 to 100 %"}
    rejected = [Rejected("reading", "out_of_range", 12, now, [(now, sample)]), Rejected("request", "not_json", 1, now, [])]
    days = [Day(now.date() - timedelta(days=n), 2_880_000, 330_000_000, 50_000_000, None, now if n else None) for n in range(8, -1, -1)]
    states = {d.side + d.device_id: reporting.state(d, now) for d in known}
    if not known:
        return Overview(now, None, [], {}, MinuteCounts(), [], [], {}, None, _empty_days(now.date()))
    recent = {"vehicle": counts, "meter": counts}
    return Overview(now, end - 2 * DAY, steps, recent, MinuteCounts(90_000, 40, 3, 10), rejected, known, states, (2.0, 7.5), days)


def _empty_days(today: date) -> list[Day]:
    return [Day(today, 0, 65_536, 65_536, None, None)]


class FakeLoading:
    """Like dashboard.pages.ingestion.loading.Loading, over a fleet that may be away; empty where the fleet is."""

    def __init__(self, fleet: FakeFleet) -> None:
        self._fleet = fleet

    def _devices(self, now: datetime) -> list[Device]:
        if self._fleet.away:
            raise ConnectionError("the database is away")
        return devices(now) if self._fleet.rows else []

    def overview(self, now: datetime) -> Overview:
        return overview(self._devices(now), now)

    def sites(self) -> list[tuple[str, str]]:
        return list(SITES) if self._fleet.rows else []

    def calendar(self, now: datetime, side: str, site: str | None, q: str, page: int) -> Calendar:
        found = [d for d in matching(self._devices(now), side, site, q) if d.recorded_at]
        newest = hour_of(now)
        rows = [_row(d, n, now - newest) for n, d in enumerate(found[(page - 1) * PAGE : page * PAGE])]
        return Calendar(newest - (HOURS - 1) * HOUR, now, rows, len(found))


def _row(one: Device, n: int, passed: timedelta) -> Row:
    """The first misses half of every hour and two whole days, the second began three days ago."""
    readings: list[int | None] = [30 if n == 0 else 60] * HOURS
    if n == 0:
        readings[20:68] = [0] * 48
    if n == 1:
        readings[:96] = [None] * 96
    readings[-1] = int(passed.total_seconds() // 60)
    return Row(one, readings, shares(readings, one.rhythm, passed))


@contextmanager
def faked(fleet: FakeFleet) -> Iterator[None]:
    """The page reads from here as long as this is open."""
    with patch.object(page, "Loading", lambda _: FakeLoading(fleet)):
        yield
