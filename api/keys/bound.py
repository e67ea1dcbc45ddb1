"""A key writes only what it is bound to: readings of other devices are faults, whatever else is wrong with them."""

from typing import Any

from api.keys.ring import Known
from api.schemas import VEHICLE_WIRE, Clock, Fault, Wire, device_id
from api.schemas import readings as all_readings
from db.ingest import Reading

FORBIDDEN = "forbidden_device"
Found = tuple[list[Reading], list[int], list[Fault]]


def readings(wire: Wire, items: list[Any], clock: Clock, pointer: str, first_index: int, known: Known | None) -> Found:
    """As `api.schemas.readings`, of the key's own devices; all where no key is needed."""
    found = all_readings(wire, items, clock, pointer, first_index)
    own = None if known is None else known.vehicles if wire is VEHICLE_WIRE else known.meters
    rows, indexes, faults = found
    if own is None or (not faults and own.issuperset([row[0] for row in rows])):
        return found
    names = {first_index + offset: device_id(wire, item) for offset, item in enumerate(items)}
    foreign = {index for index, name in names.items() if name is not None and name not in own}
    kept = [(row, index) for row, index in zip(rows, indexes, strict=True) if index not in foreign]
    refused: list[Fault] = [
        {
            "index": index,
            "pointer": f"{pointer.format(index - first_index)}/{wire.id_name}",
            "code": FORBIDDEN,
            "detail": "this key may not write this device",
        }
        for index in sorted(foreign)
    ]
    others = [fault for fault in faults if fault["index"] not in foreign]
    return [row for row, _ in kept], [index for _, index in kept], others + refused
