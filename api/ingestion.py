"""What came in, who reports, where readings are missing, and how large history is: for those who run it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json
from api.exporting.cells import csv_line
from api.params import DaysQuery, DevicesQuery, GapsQuery, IntakeQuery, sane
from api.services import Services
from api.words import z
from charging.reporting import Device, matching, state, unheard_first
from db import intake_log, retention
from db.intake_log import COUNTS, Rejected
from db.queries import calendar, reporting
from db.queries.calendar import Row

_TAG = Tag(name="Ingestion", description="What came in, who reports, where readings are missing")
_STEPS = {"1m": timedelta(minutes=1), "5m": timedelta(minutes=5), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
LONGEST = timedelta(days=400)

MINUTE_COLUMNS = ("from_utc", "side", "accepted", "duplicates", "conflicts", "rejected", "late", "mean_lag_s")
REJECT_COLUMNS = ("what", "code", "count", "last_utc", "sample_utc", "device_id", "pointer", "detail")
DEVICE_COLUMNS = (
    "side", "device_id", "name", "site_id", "state", "recorded_utc", "received_utc", "lag_s", "rhythm_s", "new", "clock_ahead",
)  # fmt: skip
GAP_COLUMNS = ("side", "device_id", "from_utc", "readings", "share_of_due")
DAY_COLUMNS = ("day", "readings_estimated", "history_bytes", "rollup_bytes", "compacted_utc", "dropped_utc")


def register(app: OpenAPI, services: Services) -> None:
    """/v1/ingestion/{minutes,rejects,devices,gaps,days}"""

    @app.get("/v1/ingestion/minutes", tags=[_TAG], summary="Readings by what became of them, by time")
    def get_minutes(query: IntakeQuery) -> Response:
        start, end = _range(services, query)
        with services.reading() as conn:
            found = intake_log.between(conn, start, end, _STEPS[query.bucket])
        rows = [_minute(at, side, counts) for at, side, counts in found]
        return _answer(query.format, "minutes", MINUTE_COLUMNS, rows)

    @app.get("/v1/ingestion/rejects", tags=[_TAG], summary="What was rejected, by code, with cases")
    def get_rejects(query: IntakeQuery) -> Response:
        start, end = _range(services, query)
        with services.reading() as conn:
            found = intake_log.rejected(conn, start, end)
        if query.format == "json":
            return as_json({"rejects": [_reject(one) for one in found]})
        return _answer("csv", "rejects", REJECT_COLUMNS, [row for one in found for row in _reject_rows(one)])

    @app.get("/v1/ingestion/devices", tags=[_TAG], summary="Devices by whether they report")
    def get_devices(query: DevicesQuery) -> Response:
        with services.reading() as conn:
            found = matching(reporting.devices(conn), query.side, query.siteId, query.q)
        rows = [_device(device, services.now()) for device in unheard_first(found) if _asked(query, device)]
        return _answer(query.format, "devices", DEVICE_COLUMNS, [row for row in rows if query.state in (None, row["state"])])

    @app.get("/v1/ingestion/gaps", tags=[_TAG], summary="Readings of each hour of seven days, and the part of those due")
    def get_gaps(query: GapsQuery) -> Response:
        now = services.now()
        with services.reading() as conn:
            devices = matching(reporting.devices(conn), query.side, query.siteId, query.q)
            ranked = calendar.worst_first(devices, calendar.day_totals(conn, query.side, now))
            found = calendar.calendar(conn, ranked, query.page, now)
        rows = [row for one in found.rows for row in _gap_rows(one, found.start)]
        return _answer(query.format, "gaps", GAP_COLUMNS, rows, {"devices": found.devices})

    @app.get("/v1/ingestion/days", tags=[_TAG], summary="Size of history by day")
    def get_days(query: DaysQuery) -> Response:
        with services.reading() as conn:
            found = retention.days(conn)
        return _answer(query.format, "days", DAY_COLUMNS, [_day(day) for day in found])


def _range(services: Services, query: IntakeQuery) -> tuple[datetime, datetime]:
    end = query.end or services.now()
    start = query.start or (end - timedelta(hours=24) if sane(end) else end)
    if not (sane(start) and sane(end)) or not start < end <= start + LONGEST:
        words = f"from lies before to, both in the years 2000 to 2199, at most {LONGEST.days} days apart"
        raise Problem(422, "invalid_parameter", "Unprocessable Content", words)
    return start, end


def _answer(
    form: str, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, object]], more: Mapping[str, object] | None = None
) -> Response:
    """The rows as JSON, in the names of the API, or as a file."""
    if form == "json":
        return as_json({**(more or {}), name: [{_camel(key): value for key, value in row.items()} for row in rows]})
    lines = [csv_line(list(columns)), *(csv_line([row[column] for column in columns]) for row in rows)]
    attached = {"Content-Disposition": f"attachment; filename=voltledger-{name}.csv"}
    return Response("".join(lines), content_type="text/csv; charset=utf-8", headers=attached)


def _camel(column: str) -> str:
    first, *rest = column.removesuffix("_utc").split("_")
    return first + "".join(part.capitalize() for part in rest)


def _z(at: datetime | None) -> str | None:
    return z(at) if at else None


def _minute(at: datetime, side: str, counts: intake_log.MinuteCounts) -> dict[str, object]:
    lag = round(counts.lag_ms / counts.lagged / 1000, 3) if counts.lagged else None
    shown = {name: getattr(counts, name) for name in COUNTS if not name.startswith("lag")}
    return {"from_utc": z(at), "side": side, **shown, "mean_lag_s": lag}


def _reject(one: Rejected) -> dict[str, Any]:
    samples = [{"at": z(at), **sample} for at, sample in one.samples]
    return {"what": one.what, "code": one.code, "count": one.count, "last": z(one.last_at), "samples": samples}


def _reject_rows(one: Rejected) -> list[dict[str, object]]:
    """A line for each case, or one without."""
    same = {"what": one.what, "code": one.code, "count": one.count, "last_utc": z(one.last_at)}
    cases: list[tuple[datetime | None, intake_log.Sample]] = [*one.samples] or [(None, {})]
    return [
        {**same, "sample_utc": _z(at), "device_id": s.get("deviceId"), "pointer": s.get("pointer"), "detail": s.get("detail")}
        for at, s in cases
    ]


def _asked(query: DevicesQuery, device: Device) -> bool:
    return query.new in (None, device.is_new) and query.ahead in (None, device.is_ahead)


def _device(device: Device, now: datetime) -> dict[str, object]:
    lag = device.lag
    return {
        "side": device.side,
        "device_id": device.device_id,
        "name": device.name,
        "site_id": device.site_id,
        "state": state(device, now),
        "recorded_utc": _z(device.recorded_at),
        "received_utc": _z(device.received_at),
        "lag_s": None if lag is None else round(lag.total_seconds(), 3),
        "rhythm_s": device.rhythm_s,
        "new": device.is_new,
        "clock_ahead": device.is_ahead,
    }


def _gap_rows(row: Row, start: datetime) -> list[dict[str, object]]:
    return [
        {
            "side": row.device.side,
            "device_id": row.device.device_id,
            "from_utc": z(start + timedelta(hours=n)),
            "readings": readings,
            "share_of_due": None if share is None else round(share, 4),
        }
        for n, (readings, share) in enumerate(zip(row.readings, row.shares, strict=True))
    ]


def _day(day: retention.Day) -> dict[str, object]:
    return {
        "day": str(day.day),
        "readings_estimated": day.readings,
        "history_bytes": day.history_bytes,
        "rollup_bytes": day.rollup_bytes,
        "compacted_utc": _z(day.compacted_at),
        "dropped_utc": _z(day.dropped_at),
    }
