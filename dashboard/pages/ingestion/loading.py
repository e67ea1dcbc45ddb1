"""What the ingestion page shows, read from the database and kept for a while for all viewers."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import quantiles

from charging import reporting
from charging.reporting import Device, State, matching
from dashboard.remembered import Remembered
from db import intake_log, retention
from db.engine import Conn
from db.intake_log import MinuteCounts, Rejected
from db.queries import calendar
from db.queries import reporting as reported
from db.queries.calendar import Calendar
from db.retention import Day

STEP = timedelta(minutes=5)
DAY = timedelta(hours=24)
# Every process writes once a minute: what is older than this is complete.
SETTLED = timedelta(minutes=2)
# A page is drawn anew once a minute; the fleet's day behind the order of the calendar is looked at no more often, sizes hardly change.
_FLEET_S, _TOTALS_S, _DAYS_S = 15.0, 60.0, 300.0
GROWTH_DAYS = 7

Step = tuple[datetime, str, MinuteCounts]


@dataclass(frozen=True, slots=True)
class Overview:
    """The fleet at `now` and what came in before it. `steps` are five minutes each, `day` is all of 24 hours; before `since` nothing was counted.

    `lags_s` are the median and the 95th percentile of the newest readings' ways here, of devices that report.
    """

    now: datetime
    since: datetime | None
    steps: Sequence[Step]
    recent: dict[str, MinuteCounts]
    day: MinuteCounts
    rejected: Sequence[Rejected]
    devices: Sequence[Device]
    states: dict[str, State]
    lags_s: tuple[float, float] | None
    days: Sequence[Day]

    def of(self, *states: State, side: str | None = None) -> list[Device]:
        """Devices in one of these states."""
        return [d for d in self.devices if self.states[d.side + d.device_id] in states and side in (None, d.side)]

    def count(self, side: str) -> Counter[State]:
        """Devices of a side by state."""
        return Counter(self.states[d.side + d.device_id] for d in self.devices if d.side == side)


class Loading:
    """Reads through `read`, which gives a connection."""

    def __init__(self, read: Callable[[], AbstractContextManager[Conn]]) -> None:
        self._read = read
        self._devices: Remembered[list[Device]] = Remembered(_FLEET_S)
        self._totals: Remembered[dict[str, int]] = Remembered(_TOTALS_S)
        self._days: Remembered[list[Day]] = Remembered(_DAYS_S)

    def overview(self, now: datetime) -> Overview:
        """Everything but the calendar."""
        with self._read() as conn:
            devices = self._devices.get(None, lambda: reported.devices(conn))
            days = self._days.get(None, lambda: retention.days(conn))
            return _overview(conn, devices, [day for day in days if day.day <= now.date()], now)

    def calendar(self, now: datetime, side: str, site: str | None, q: str, page: int) -> Calendar:
        """A page of devices with their hours."""
        with self._read() as conn:
            devices = self._devices.get(None, lambda: reported.devices(conn))
            totals = self._totals.get(side, lambda: calendar.day_totals(conn, side, now))
            ranked = calendar.worst_first(matching(devices, side, site, q), totals)
            return calendar.calendar(conn, ranked, page, now)

    def sites(self) -> list[tuple[str, str]]:
        """(id, name) of the sites that have devices, by name."""
        with self._read() as conn:
            devices = self._devices.get(None, lambda: reported.devices(conn))
        return sorted({(d.site_id, d.site_name or d.site_id) for d in devices if d.site_id}, key=lambda site: site[1])


def _overview(conn: Conn, devices: Sequence[Device], days: Sequence[Day], now: datetime) -> Overview:
    end = now - SETTLED
    end -= (end - datetime(2000, 1, 1, tzinfo=end.tzinfo)) % STEP
    states = {d.side + d.device_id: reporting.state(d, now) for d in devices}
    return Overview(
        now,
        intake_log.begins(conn),
        intake_log.between(conn, end - DAY, end, STEP),
        {side: counts for _, side, counts in intake_log.between(conn, end - STEP, end, STEP)},
        _sum(intake_log.between(conn, now - DAY, now + intake_log.MINUTE, DAY)),
        intake_log.rejected(conn, now - DAY, now + intake_log.MINUTE),
        devices,
        states,
        lags([d.lag.total_seconds() for d in devices if d.lag is not None and states[d.side + d.device_id] == "reporting"]),
        days,
    )


def _sum(steps: Sequence[Step]) -> MinuteCounts:
    whole = MinuteCounts()
    for _, _, counts in steps:
        whole.add(counts)
    return whole


def first_whole_step(since: datetime) -> datetime:
    """Where the first five minutes begin that were counted from their beginning; those before them would show too low a mean."""
    return since + (datetime(2000, 1, 1, tzinfo=since.tzinfo) - since) % STEP


def first_mean_at(since: datetime) -> datetime:
    """When the mean of these five minutes is known."""
    return first_whole_step(since) + STEP + SETTLED


def lags(seconds: Sequence[float]) -> tuple[float, float] | None:
    """Median and 95th percentile; a clock that is ahead counts as no time at all."""
    if not seconds:
        return None
    cut = quantiles([max(0.0, one) for one in seconds], n=20, method="inclusive") if len(seconds) > 1 else [max(0.0, seconds[0])] * 19
    return cut[9], cut[18]


def growth_bytes(days: Sequence[Day], now: datetime) -> float | None:
    """Bytes a day that history grows by: the mean of the last seven whole days that brought anything and were not dropped."""
    whole = [d.history_bytes + d.rollup_bytes for d in days if d.day < now.date() and d.readings and not d.dropped_at][-GROWTH_DAYS:]
    return sum(whole) / len(whole) if whole else None


def total_bytes(days: Sequence[Day]) -> int:
    """Bytes of all history and its sums."""
    return sum(d.history_bytes + d.rollup_bytes for d in days)
