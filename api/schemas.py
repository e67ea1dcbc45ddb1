"""The wire: the only place that knows its camelCase. Turns JSON values into readings as `db.ingest` takes them, or says what is wrong and where."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from db.ingest import Outcome, Reading
from db.sides import METER, VEHICLE, Side

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
MOST_KWH = 50.0

DeviceId = Annotated[str, Meta(pattern=ID_PATTERN)]
Kwh = Annotated[float, Meta(ge=0, le=MOST_KWH)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Timestamp = Annotated[datetime, Meta(tz=True)]


class VehicleReading(msgspec.Struct, gc=False):
    """What a vehicle posts."""

    vehicleId: DeviceId
    soc: Annotated[float, Meta(ge=0, le=100)] | None
    kwhDeliveredDc: Kwh
    batteryTemp: Annotated[float, Meta(ge=-60, le=150)] | None
    timestamp: Timestamp
    latitude: Latitude | None = None
    longitude: Longitude | None = None

    def row(self) -> Reading:
        return (
            self.vehicleId,
            _us(self.timestamp),
            round(self.kwhDeliveredDc * 1_000_000),
            None if self.soc is None else round(self.soc * 100),
            None if self.batteryTemp is None else round(self.batteryTemp * 100),
            None if self.latitude is None else round(self.latitude * 10_000_000),
            None if self.longitude is None else round(self.longitude * 10_000_000),
        )


class MeterReading(msgspec.Struct, gc=False):
    """What a meter posts."""

    meterId: DeviceId
    kwhConsumedAc: Kwh
    voltage: Annotated[float, Meta(ge=0, le=1000)] | None
    timestamp: Timestamp
    latitude: Latitude | None = None
    longitude: Longitude | None = None

    def row(self) -> Reading:
        return (
            self.meterId,
            _us(self.timestamp),
            round(self.kwhConsumedAc * 1_000_000),
            None if self.voltage is None else round(self.voltage * 100),
            None if self.latitude is None else round(self.latitude * 10_000_000),
            None if self.longitude is None else round(self.longitude * 10_000_000),
        )


def _us(at: datetime) -> int:
    since = at - EPOCH
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds


@dataclass(frozen=True, slots=True)
class Field:
    """How a number on the wire is described to somebody who got it wrong."""

    name: str
    low: float
    high: float
    unit: str
    nullable: bool = False
    required: bool = True


_POSITION = (Field("latitude", -90, 90, "degrees", True, False), Field("longitude", -180, 180, "degrees", True, False))


@dataclass(frozen=True, slots=True)
class Wire:
    """One side's form on the wire."""

    side: Side
    model: type[VehicleReading] | type[MeterReading]
    id_name: str
    numbers: tuple[Field, ...]


VEHICLE_WIRE = Wire(
    VEHICLE,
    VehicleReading,
    "vehicleId",
    (Field("soc", 0, 100, "%", True), Field("kwhDeliveredDc", 0, MOST_KWH, "kWh"), Field("batteryTemp", -60, 150, "°C", True), *_POSITION),
)
METER_WIRE = Wire(
    METER, MeterReading, "meterId", (Field("kwhConsumedAc", 0, MOST_KWH, "kWh"), Field("voltage", 0, 1000, "V", True), *_POSITION)
)


@dataclass(frozen=True, slots=True)
class Clock:
    """The instants a reading may carry, in µs since 1970."""

    earliest_us: int
    latest_us: int

    @staticmethod
    def at(now: datetime, ahead_s: int, oldest_days: int | None) -> "Clock":
        earliest = max(EARLIEST, now - timedelta(days=oldest_days)) if oldest_days else EARLIEST
        return Clock(_us(earliest), _us(now + timedelta(seconds=ahead_s)))


Fault = dict[str, object]

# What is said of a valid reading that was not stored: code and detail.
REFUSED: dict[Outcome, tuple[str, str]] = {
    Outcome.CONFLICT: ("conflict", "a reading of this device at this instant is stored with other values; the first one stays"),
    Outcome.CLOSED: ("timestamp_out_of_range", "the readings of this day were dropped by a person: it takes no more"),
}


def readings(wire: Wire, items: list[Any], clock: Clock, pointer: str, first_index: int) -> tuple[list[Reading], list[int], list[Fault]]:
    """(rows, the index of each row, faults) of a list of JSON values. Valid neighbours of a bad item are kept."""
    rows = _all_at_once(wire, items, clock)
    if rows is not None:
        return rows, list(range(first_index, first_index + len(rows))), []
    kept: list[Reading] = []
    indexes: list[int] = []
    faults: list[Fault] = []
    for offset, item in enumerate(items):
        found = _one(wire, item, clock)
        if isinstance(found, tuple):
            kept.append(found)
            indexes.append(first_index + offset)
        else:
            where = pointer.format(offset)
            faults += [{"index": first_index + offset, **fault, "pointer": where + str(fault["pointer"])} for fault in found]
    return kept, indexes, faults


def _all_at_once(wire: Wire, items: list[Any], clock: Clock) -> list[Reading] | None:
    try:
        rows = [one.row() for one in msgspec.convert(items, list[wire.model])]  # type: ignore[name-defined]
    except (msgspec.ValidationError, RecursionError):
        return None
    in_time = all(clock.earliest_us <= row[1] <= clock.latest_us for row in rows)
    paired = all((row[-1] is None) == (row[-2] is None) for row in rows)
    return rows if in_time and paired else None


def device_id(wire: Wire, item: Any) -> str | None:
    """Who sent it, where it says so in the form of an id."""
    name = item.get(wire.id_name) if isinstance(item, dict) else None
    return name if isinstance(name, str) and re.search(ID_PATTERN, name) else None


def _one(wire: Wire, item: Any, clock: Clock) -> Reading | list[Fault]:
    rows = _all_at_once(wire, [item], clock)
    return rows[0] if rows else _faults(wire, item, clock)


def _faults(wire: Wire, item: Any, clock: Clock) -> list[Fault]:
    if not isinstance(item, dict):
        return [_fault("", "wrong_type", f"a reading is a JSON object, not {_type(item)}")]
    found = [*_id_faults(wire.id_name, item)]
    for number in wire.numbers:
        found += _number_faults(number, item)
    found += _time_faults(item, clock)
    if (item.get("latitude") is None) != (item.get("longitude") is None):
        found.append(_fault("/latitude", "missing_field", "latitude and longitude come together: give both or neither"))
    return found or [_fault("", "wrong_type", "not a reading")]


def _fault(pointer: str, code: str, detail: str) -> Fault:
    return {"pointer": pointer, "code": code, "detail": detail}


def _id_faults(name: str, item: dict[str, Any]) -> list[Fault]:
    if name not in item:
        return [_fault(f"/{name}", "missing_field", f"{name} is missing")]
    if not isinstance(item[name], str):
        return [_fault(f"/{name}", "wrong_type", f"{name} is a string, not {_type(item[name])}")]
    if not re.search(ID_PATTERN, item[name]):
        return [_fault(f"/{name}", "invalid_text", f"{name} is 1 to 64 letters, digits and . _ : - and begins with a letter or digit")]
    return []


def _number_faults(field: Field, item: dict[str, Any]) -> list[Fault]:
    pointer = f"/{field.name}"
    if field.name not in item:
        return (
            [_fault(pointer, "missing_field", f"{field.name} is missing{'; null says not measured' if field.nullable else ''}")]
            if field.required
            else []
        )
    value = item[field.name]
    if value is None and field.nullable:
        return []
    if isinstance(value, bool) or not isinstance(value, int | float):
        return [_fault(pointer, "wrong_type", f"{field.name} is a number{' or null' if field.nullable else ''}, not {_type(value)}")]
    if not field.low <= value <= field.high:
        return [_fault(pointer, "out_of_range", f"{field.name} is {field.low:g} to {field.high:g} {field.unit}")]
    return []


def _time_faults(item: dict[str, Any], clock: Clock) -> list[Fault]:
    if "timestamp" not in item:
        return [_fault("/timestamp", "missing_field", "timestamp is missing")]
    if not isinstance(item["timestamp"], str):
        return [_fault("/timestamp", "wrong_type", f"timestamp is a string, not {_type(item['timestamp'])}")]
    try:
        at = _us(msgspec.convert(item["timestamp"], Timestamp))
    except (msgspec.ValidationError, OverflowError):
        return [_fault("/timestamp", "timestamp_format", "timestamp is RFC 3339 with an offset, like 2026-02-04T10:00:00Z")]
    if at > clock.latest_us:
        return [
            _fault(
                "/timestamp",
                "timestamp_out_of_range",
                "timestamp is further ahead of the server's clock than allowed: set the device's clock",
            )
        ]
    if at < clock.earliest_us:
        return [_fault("/timestamp", "timestamp_out_of_range", "timestamp is before the earliest instant this server takes")]
    return []


def _type(value: Any) -> str:
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), "something else")
