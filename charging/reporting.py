"""Is a device reporting? Judged by its own rhythm, so that one that reports every hour is not called silent after a quarter of one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from charging.evidence import UNKNOWN_RHYTHM_S

# After so many missed readings it is no jitter any more; after so many more somebody should look.
STALE_RHYTHMS, SILENT_RHYTHMS = 5, 15
# Clocks that are set by the network are right within a second or two.
AHEAD = timedelta(seconds=5)
HOUR = timedelta(hours=1)

State = Literal["reporting", "late", "stale", "silent", "never"]
STATES: tuple[State, ...] = ("reporting", "late", "stale", "silent", "never")
SideName = Literal["vehicle", "meter"]


@dataclass(frozen=True, slots=True)
class Device:
    """What is known of a vehicle or a meter; `recorded_at` and `received_at` are of its newest reading, None where there never was one.

    `rhythm_s` None: not learned yet. `mapped`: it was in an assignment at any time.
    """

    side: SideName
    device_id: str
    name: str | None
    site_id: str | None
    site_name: str | None
    recorded_at: datetime | None
    received_at: datetime | None
    rhythm_s: int | None
    described: bool
    mapped: bool

    @property
    def rhythm(self) -> timedelta:
        """From reading to reading; a minute is assumed until it is learned."""
        return timedelta(seconds=self.rhythm_s or UNKNOWN_RHYTHM_S)

    @property
    def is_new(self) -> bool:
        """It reports, and nobody has described or assigned it."""
        return self.recorded_at is not None and not self.described and not self.mapped

    @property
    def lag(self) -> timedelta | None:
        """How long its newest reading was on its way; negative where its clock is ahead."""
        return self.received_at - self.recorded_at if self.received_at and self.recorded_at else None

    @property
    def is_ahead(self) -> bool:
        """Its clock is ahead of ours."""
        return self.lag is not None and self.lag < -AHEAD


def state(device: Device, now: datetime) -> State:
    """`late`: it reports, but what is old: its clock is behind, or it sends what it kept."""
    if device.recorded_at is None or device.received_at is None:
        return "never"
    if now - device.recorded_at <= STALE_RHYTHMS * device.rhythm:
        return "reporting"
    unheard = now - device.received_at
    if unheard <= STALE_RHYTHMS * device.rhythm:
        return "late"
    return "stale" if unheard <= SILENT_RHYTHMS * device.rhythm else "silent"


def unheard_first(devices: Iterable[Device]) -> list[Device]:
    """Those that have been quiet for longest first, those that never reported last."""
    return sorted(devices, key=lambda d: (d.received_at is None, d.received_at.timestamp() if d.received_at else 0.0, d.side, d.device_id))


def matching(devices: Iterable[Device], side: str | None = None, site: str | None = None, q: str | None = None) -> list[Device]:
    """Of this side, of this site (its id), and with the text in id or name, small or capital."""
    text = (q or "").strip().casefold()
    return [
        d
        for d in devices
        if (not side or d.side == side) and (not site or d.site_id == site) and (text in d.device_id.casefold() or text in (d.name or "").casefold())
    ]  # fmt: skip


def shares(readings: Sequence[int | None], rhythm: timedelta, newest_hour: timedelta = HOUR) -> list[float | None]:
    """Of consecutive hours, the part of the readings due that came, 0 to 1; None stays None. `newest_hour`: how much of the last one has passed.

    Of a device slower than an hour each hour is judged with those before it, as many as its rhythm spans.
    """
    spanned, last = max(1, -(-rhythm // HOUR)), len(readings) - 1
    found: list[float | None] = []
    for n, came in enumerate(readings):
        together = readings[max(0, n + 1 - spanned) : n + 1]
        span = HOUR * (len(together) - 1) + (newest_hour if n == last else HOUR)
        found.append(None if came is None else _share(sum(one or 0 for one in together), int(span / rhythm) - (n == last)))
    return found


def _share(came: int, due: int) -> float:
    """Where less than a reading was due nothing is missing. In the running hour one may still be on its way."""
    return 1.0 if due < 1 else min(1.0, came / due)


def share_of_day(readings: int, rhythm: timedelta) -> float:
    """The same for 24 hours."""
    return _share(readings, int(timedelta(hours=24) / rhythm))
