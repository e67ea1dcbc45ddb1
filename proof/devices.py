"""Made-up devices whose every reading is known beforehand, so that what is stored can be held against what was sent."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

# Multipliers without a common factor with the ranges, so that neighbours differ. `tests/faults/invariants.py` says the same in SQL.
ENERGY_BY_N, ENERGY_BY_DEVICE, ENERGIES = 7_919, 104_729, 2_000_000  # mWh: below 2 kWh a reading
_SOC_BY_N, _SOCS = 37, 10_001  # hundredths of a percent


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices 0 … n: even ones are vehicles, odd ones meters. Reading n of each is recorded at `begin_s` + n · `step_ms`.

    `run` is part of every id, so that nobody takes them for real devices and two runs never meet. `begin_s` is seconds since 1970.
    """

    run: str
    begin_s: int
    step_ms: int = 1000

    def id_of(self, device: int) -> str:
        """`proof-<run>-v00002`, or with an m for a meter."""
        return f"proof-{self.run}-{'m' if device % 2 else 'v'}{device:05d}"

    def at_ms(self, n: int) -> int:
        """When reading n was recorded, ms since 1970."""
        return self.begin_s * 1000 + n * self.step_ms

    def n_at(self, at_ms: int) -> int | None:
        """The number of the reading recorded at that instant; None for an instant between two."""
        n, rest = divmod(at_ms - self.begin_s * 1000, self.step_ms)
        return None if rest else n

    def reading(self, device: int, n: int) -> bytes:
        """The reading as JSON of the wire."""
        energy = energy_milliwh(device, n)
        at = datetime.fromtimestamp(self.at_ms(n) / 1000, UTC).isoformat().replace("+00:00", "Z")
        kwh = f"{energy // 1_000_000}.{energy % 1_000_000:06d}"
        name = self.id_of(device)
        if device % 2:
            return f'{{"meterId":"{name}","kwhConsumedAc":{kwh},"voltage":230,"timestamp":"{at}"}}'.encode()
        soc = n * _SOC_BY_N % _SOCS / 100
        return f'{{"vehicleId":"{name}","soc":{soc},"kwhDeliveredDc":{kwh},"batteryTemp":30,"timestamp":"{at}"}}'.encode()

    def as_dict(self) -> dict[str, Any]:
        """For a file or a pipe."""
        return asdict(self)


def energy_milliwh(device: int, n: int) -> int:
    """The energy of a device's reading n."""
    return (n * ENERGY_BY_N + device * ENERGY_BY_DEVICE) % ENERGIES
