"""The two sides of the cable have tables of one shape: what differs is said here once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Side:
    """`measures` are the nullable columns besides energy, in the order of a reading's tuple."""

    name: str
    energy: str
    measures: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.name}_id"

    @property
    def history(self) -> str:
        return f"{self.name}_history"

    @property
    def live(self) -> str:
        return f"live_{self.name}"

    @property
    def rollup(self) -> str:
        return f"{self.name}_rollup"

    @property
    def nullable(self) -> tuple[str, ...]:
        """Every column that may be absent, in a reading's order: after id, recorded_at_us and energy."""
        return (*self.measures, "latitude_e7", "longitude_e7")


VEHICLE = Side("vehicle", "dc_milliwh", ("soc_centi_pct", "battery_temp_centi_c"))
METER = Side("meter", "ac_milliwh", ("voltage_centi_v",))
SIDES = (VEHICLE, METER)

# A reading stamped exactly on the quarter belongs to the quarter it ends.
BUCKET = "date_bin('15 minutes', {at} - interval '1 microsecond', '2000-01-01 00:00+00')"


def bucket_of(at: str) -> str:
    """SQL for the name of the quarter (b, b + 15 min] that the instant `at` lies in."""
    return BUCKET.format(at=at)
