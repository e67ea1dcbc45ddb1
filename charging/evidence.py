"""What is known about one vehicle's charging over one window, before anybody judges it."""

from dataclasses import dataclass, replace
from typing import NamedTuple

# A reading charged when it carries more than this: what 10 W of standby draws in a quarter of an hour, and less than one minute at the end of a taper.
CHARGING_FLOOR_MILLIWH = 2_500
# A stream moved when it carries more than this and more than STANDBY_W explains.
MOVED_FLOOR_MILLIWH = 50_000
STANDBY_W = 10
# A quarter in the first hour of a charge whose battery was no warmer than this within the hour (11.96 °C, at which a heater runs, is told as
# 12.0), and in which less arrived than is expected of a charger in the middle of the default band, is conditioning: a heater of 1 to 3 kW
# takes a tenth to a third of an 11 kW charger's power, so a limit of 70 % would miss most of them, and one of 85 % the quarters in which it
# ran for some minutes.
COLD_CENTI_C = 1_200
# Energy that flowed for this much longer on one side of a quarter than on the other is not a matter of when each of them reads, nor of the
# coarsest counters' steps.
APART_S = 180
# From this charge on, what the grid gives keeps a full battery company: standby.
FULL_CENTI_PCT = 9_900
# The smallest increment a counter is taken to have until it has shown one: 1 Wh.
UNKNOWN_STEP_MILLIWH = 1_000
# The rhythm a device is taken to have until it is learned.
UNKNOWN_RHYTHM_S = 60


@dataclass(frozen=True, slots=True)
class Stream:
    """One side of the cable over a window: the vehicle's DC or the meter's AC.

    Energy in thousandths of a watt-hour. `received` of `due` readings over the stretches in which either side moved
    (both 0 where neither did). `smallest_milliwh` is the smallest positive energy of a reading, None while there is none.
    """

    energy_milliwh: int = 0
    readings: int = 0
    received: int = 0
    due: int = 0
    smallest_milliwh: int | None = None
    rhythm_s: int = UNKNOWN_RHYTHM_S

    @property
    def coverage(self) -> float | None:
        """Received ÷ due, 0…1; None where nothing was due."""
        return min(1.0, self.received / self.due) if self.due else None

    @property
    def step_milliwh(self) -> int:
        """The smallest increment of the counter; a single reading shows none."""
        return self.smallest_milliwh if self.smallest_milliwh is not None and self.readings > 1 else UNKNOWN_STEP_MILLIWH

    @property
    def moved(self) -> bool:
        """More energy than noise and than standby explains over the time the readings stand for."""
        standby_milliwh = STANDBY_W * 1000 * self.readings * self.rhythm_s / 3600
        return self.energy_milliwh > MOVED_FLOOR_MILLIWH and self.energy_milliwh > standby_milliwh


class Apart(NamedTuple):
    """Parts of a window's energy, in thousandths of a watt-hour.

    `idle_*` flowed in quarters in which nothing charged; `full_*` (and `full_s` of charging) are the standby stretches of a full battery,
    the other stretches that were left out are conditioning. `filled_*` are the plain stretches with what is missing filled in: each
    quarter's energy in proportion to the readings due in it, quarters in which a side shows nothing left out on both. `elsewhere_dc`
    reached the battery in plain quarters in which the meter reported that nothing flowed.
    """

    idle_dc: int = 0
    idle_ac: int = 0
    full_dc: int = 0
    full_ac: int = 0
    full_s: int = 0
    filled_dc: int = 0
    filled_ac: int = 0
    elsewhere_dc: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both sides over one window, and what qualifies them.

    `charging_s` is the time in which the meter's energy flowed, None where no stretch is known (single readings).
    `plain_*` is what remains after leaving out conditioning and standby stretches. `stuck_s` and `stuck_ac_milliwh` are the
    longest run of whole quarters in which the vehicle reported exactly 0 while the meter moved, conditioning and standby apart.
    `group` names the vehicles that share the meter; empty where the meter feeds this vehicle alone.
    """

    dc: Stream = Stream()
    ac: Stream = Stream()
    meter_ids: tuple[str, ...] = ()
    charging_s: int | None = None
    plain_dc_milliwh: int = 0
    plain_ac_milliwh: int = 0
    plain_charging_s: int | None = None
    set_aside_buckets: int = 0
    stuck_s: int = 0
    stuck_ac_milliwh: int = 0
    temp_centi_c_sum: int = 0
    temp_count: int = 0
    group: tuple[str, ...] = ()
    apart: Apart = Apart()

    @property
    def elsewhere_milliwh(self) -> int:
        """What was charged at another charger: nothing up to a tenth, which clocks that differ by minutes explain."""
        elsewhere = self.apart.elsewhere_dc
        return elsewhere if elsewhere > MOVED_FLOOR_MILLIWH and elsewhere * 10 > self.dc.energy_milliwh else 0

    @property
    def dc_here_milliwh(self) -> int:
        """What reached the battery from these meters, as far as they say so."""
        return self.dc.energy_milliwh - self.elsewhere_milliwh

    @property
    def avg_battery_temp_c(self) -> float | None:
        """Mean of the measured battery temperatures in °C; None where none was measured."""
        return self.temp_centi_c_sum / 100 / self.temp_count if self.temp_count else None


def together(members: list[Evidence]) -> Evidence:
    """The evidence of a group of vehicles on one shared meter: every DC added, the meter's AC counted once.

    `members` begin with the vehicle the evidence is for; the others' covers only the time in which they shared its meter.
    """
    first = members[0]
    return replace(
        first,
        dc=Stream(
            energy_milliwh=sum(m.dc.energy_milliwh for m in members),
            readings=sum(m.dc.readings for m in members),
            received=sum(m.dc.received for m in members),
            due=sum(m.dc.due for m in members),
            smallest_milliwh=max((m.dc.smallest_milliwh for m in members if m.dc.smallest_milliwh is not None), default=None),
            rhythm_s=max(m.dc.rhythm_s for m in members),
        ),
        # The meter is due whenever one of them charges.
        ac=replace(first.ac, received=sum(m.ac.received for m in members), due=sum(m.ac.due for m in members)),
        apart=first.apart._replace(elsewhere_dc=sum(m.apart.elsewhere_dc for m in members)),
    )
