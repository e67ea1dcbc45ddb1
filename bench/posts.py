"""Single posts of made-up devices, each request made when it is sent."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

from bench import wire

VEHICLE_PATH = "/v1/telemetry/vehicle"


def of_device(name: str, first_s: int, count: int | None = None, step_s: int = 60) -> Iterator[bytes]:
    """A vehicle's readings from that second since 1970 on, `count` of them or without end."""
    for n in itertools.count() if count is None else range(count):
        at = datetime.fromtimestamp(first_s + n * step_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = f'{{"vehicleId":"{name}","soc":{50 + n % 50},"kwhDeliveredDc":{n % 7 / 100},"batteryTemp":31.5,"timestamp":"{at}"}}'
        yield wire.request("POST", VEHICLE_PATH, body.encode())
