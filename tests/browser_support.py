"""A believable fleet without a database, served by the real pages: for what browsers must show, at any size and in any state.

Everything is drawn from a seed, so two runs show the same. Ids, names and places are made up; cities stand where they are.
"""

import math
import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from flask_openapi3 import OpenAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

import config
from charging.evidence import Evidence, Stream
from charging.losses import Price
from charging.matrix import Cell
from charging.sessions import Session
from charging.verdict import Summary, summarise
from dashboard import app as composition
from dashboard.figures import Timeline
from dashboard.over import RANGES, Range, detail
from dashboard.pages.vehicle import loading
from dashboard.pages.vehicle.loading import Chargers, Live, Window
from dashboard.pictures import Album, Picture
from db.assignment_changes import AssignmentChange
from db.assignments import Assignment
from db.queries import performance
from db.queries.devices import LatestReading, MeterNow, VehicleNow
from db.queries.history import MeterPoint, VehiclePoint
from db.queries.policies import Policies

CITIES = [
    ("Amsterdam", 52.3731, 4.8926), ("Berlin", 52.52, 13.405), ("Lyon", 45.764, 4.8357), ("Madrid", 40.4168, -3.7038), ("Milano", 45.4642, 9.19), ("Oslo", 59.9139, 10.7522),
    ("Warszawa", 52.2297, 21.0122), ("Wien", 48.2082, 16.3738), ("Manchester", 53.4808, -2.2426), ("København", 55.6761, 12.5683), ("Zürich", 47.3769, 8.5417), ("Praha", 50.0755, 14.4378),
]  # fmt: skip
COLUMNS = (
    "id,name,site,meterId,lat,lon,positionFrom,soc,powerKw,batteryTemp,recordedAt,efficiency,expectedLow,expectedHigh,acKwh,dcKwh,lossKwh,uncertainty,"
    "verdict,severity,charging,silent"
).split(",")
PRICE = Price(0.3, 0.35)
PATIENCE_MS = 45_000  # for whatever must come to be: a machine full of other work is slow, and waiting costs only what fails
# Of every file of browser tests. flask-compress leaves a static file it has streamed to be closed by the garbage collector.
BROWSER_MARKS = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
HOSTILE_NAME = '<img src=x onerror="alert(1)"> & "Van"'


@dataclass
class FakeFleet:
    """A fleet of `size` vehicles at `now`. `tick()` moves it on; `away` makes the database unreachable."""

    size: int = 200
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    seed: int = 7
    away: bool = False
    broken: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._album, self._making = Album(), threading.Lock()
        self.rows = [self._row(i) for i in range(self.size)]
        if self.size > 20:
            self.rows[3]["name"] = HOSTILE_NAME

    def _row(self, i: int) -> dict[str, Any]:
        draw = self._random
        city, lat, lon = CITIES[i % len(CITIES)]
        fate = draw.random()
        verdict, severity = _verdict(fate)
        charging = draw.random() < 0.42 and verdict not in ("not_charging", "unmapped")
        ac = round(draw.uniform(14, 62), 2) if verdict in ("ok", "low", "suspect_measurement", "conditioning", "shared_meter") else 0.0
        efficiency = {
            "ok": draw.gauss(0.905, 0.008),
            "low": 0.815 if severity == "warning" else 0.69,
            "suspect_measurement": 1.08,
            "conditioning": 0.71,
            "shared_meter": 0.88,
        }.get(verdict)
        if efficiency is not None and verdict == "low":
            efficiency += draw.uniform(-0.02, 0.02)
        away, bearing = (draw.expovariate(1 / 0.06), draw.uniform(0, 2 * math.pi)) if draw.random() < 0.25 else (0.0, 0.0)
        unplaced = i % 67 == 66
        return {
            "id": f"{city[:3].upper()}-{i:05}", "name": f"{('Van', 'Truck', 'Pool car', 'Shuttle')[i % 4]} {i // len(CITIES) + 1}", "site": f"Depot {city}",
            "meterId": None if verdict == "unmapped" else f"CP-{i:05}", "lat": None if unplaced else round(lat + away * math.sin(bearing) * 0.7, 5), "lon": None if unplaced else round(lon + away * math.cos(bearing), 5),
            "positionFrom": None if unplaced else "vehicle" if away else "meter", "soc": None if i % 41 == 40 else round(draw.uniform(12, 100), 1), "powerKw": round(draw.choice([3.4, 6.8, 10.2, 10.4]) * draw.uniform(0.9, 1), 1) if charging else 0.0,
            "batteryTemp": round(draw.gauss(19, 5), 1), "recordedAt": int((self.now - timedelta(seconds=draw.randint(1, 60) if draw.random() > 0.03 else 7400)).timestamp()),
            "efficiency": efficiency and round(efficiency, 4), "expectedLow": 0.8672 if ac else None, "expectedHigh": 0.9391 if ac else None, "acKwh": ac, "dcKwh": round(ac * (efficiency or 0), 2),
            "lossKwh": round(ac * (1 - efficiency), 2) if efficiency else None, "uncertainty": 0.0104 if ac else None, "verdict": verdict, "severity": severity, "charging": charging, "silent": False,
        }  # fmt: skip

    def tick(self, seconds: int = 5) -> None:
        """Time passes; a twelfth of the fleet reports. Nobody sees the half of it."""
        with self._making:
            self._tick(seconds)

    def report(self, row: dict[str, Any]) -> None:
        """A minute passes and this vehicle reports, once."""
        with self._making:
            self._tick(60)
            row["recordedAt"] = int(self.now.timestamp()) - 1

    def _tick(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        for row in self._random.sample(self.rows, max(1, self.size // 12) if self.size else 0):
            row["recordedAt"] = int(self.now.timestamp())
            if row["charging"] and row["soc"] is not None:
                row["soc"] = min(100.0, round(row["soc"] + 0.3, 1))
                row["acKwh"], row["dcKwh"] = round(row["acKwh"] + 0.18, 2), round(row["dcKwh"] + 0.16, 2)

    def content(self) -> dict[str, Any]:
        """What /live/fleet says."""
        for row in self.rows:
            row["silent"] = self.now.timestamp() - row["recordedAt"] > 900
            row["charging"] = row["charging"] and not row["silent"]
        alerts = [_alert(row, self.now) for row in sorted(self.rows, key=lambda row: row["severity"] != "critical") if row["severity"]]
        return {
            "asOf": _z(self.now), "windowFrom": _z(self.now - timedelta(hours=24)), "windowTo": _z(self.now), "stale": self.away, "figures": self._figures(alerts),
            "vehicles": {name: [row[name] for row in self.rows] for name in COLUMNS}, "alerts": alerts, "alertsMark": "1",
        }  # fmt: skip

    def _figures(self, alerts: list[dict[str, Any]]) -> dict[str, Any]:
        counted = [row for row in self.rows if row["verdict"] in ("ok", "low")]
        ac, dc = sum(r["acKwh"] for r in counted), sum(r["dcKwh"] for r in counted)
        left_out: dict[str, int] = {}
        for row in self.rows:
            if row["verdict"] not in ("ok", "low"):
                left_out[row["verdict"]] = left_out.get(row["verdict"], 0) + 1
        charging = [row for row in self.rows if row["charging"]]
        silent = sum(row["silent"] for row in self.rows)
        return {
            "vehicles": self.size, "reporting": self.size - silent, "silent": silent, "charging": len(charging), "chargingKw": round(sum(r["powerKw"] for r in charging), 1),
            "efficiency": dc / ac if ac else None, "expectedLow": 0.867 if ac else None, "expectedHigh": 0.939 if ac else None, "counted": len(counted), "leftOut": left_out, "acKwh": ac, "dcKwh": dc,
            "lossKwh": ac - dc, "lossCost": (ac - dc) * 0.3, "currency": "EUR", "lossCo2Kg": (ac - dc) * 0.35, "ownPrices": 2, "alerts": len(alerts), "alertsToDo": len(alerts), "critical": sum(a["severity"] == "critical" for a in alerts),
            "meters": self.size, "metersReporting": max(0, self.size - silent - 1),
        }  # fmt: skip

    def get(self) -> Picture:
        """Like dashboard.snapshot.FleetPicture.get."""
        with self._making:
            return self._album.add(self.content(), 0.0)

    def row(self, vehicle_id: str) -> dict[str, Any] | None:
        """What is known of an id. Raises ConnectionError while the database is away."""
        if self.away:
            raise ConnectionError("the database is away")
        return next((row for row in self.rows if row["id"] == vehicle_id), None)

    def load_live(self, _: Any, vehicle_id: str, now: datetime) -> Live | None:
        """Like dashboard.pages.vehicle.loading.load_live, for any id of this fleet; the others likewise."""
        row = self.row(vehicle_id)
        return live(row, now) if row else None

    def load_window(self, _: Any, vehicle_id: str, chosen: Range, end: datetime, *__: Any) -> Window:
        row = self.row(vehicle_id)
        return window(row, chosen, end) if row else Window(vehicle_id, chosen, end, None, [], PRICE, "EUR")

    def load_chart(self, _: Any, vehicle_id: str, start: datetime, end: datetime, *__: Any) -> Timeline:
        row = self.row(vehicle_id)
        return chart(row, start, end, self.now) if row else Timeline(start, end, [], 3600, [], [], 900)

    def load_chargers(self, _: Any, vehicle_id: str, end: datetime, now: datetime, __: Any) -> Chargers:
        row = self.row(vehicle_id)
        return chargers(row, end, now) if row else Chargers(vehicle_id, end, now, [], "", [], [])


def _verdict(fate: float) -> tuple[str, str | None]:
    for below, verdict, severity in (
        (0.012, "low", "critical"), (0.05, "low", "warning"), (0.07, "suspect_measurement", None), (0.08, "charged_elsewhere", None), (0.12, "insufficient_data", None),
        (0.135, "shared_meter", None), (0.15, "conditioning", None), (0.17, "unmapped", None), (0.27, "not_charging", None),
    ):  # fmt: skip
        if fate < below:
            return verdict, severity
    return "ok", None


def _z(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _alert(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """As dashboard.alerts_now has it; its id is the row's own."""
    margin = round(row["efficiency"] - row["expectedLow"] + row["uncertainty"], 4)
    return {
        "episodeId": int(row["id"][4:]) + 1, "rule": "low_efficiency", "kind": "vehicle", "subjectId": row["id"], "name": row["name"], "site": row["site"],
        "severity": row["severity"], "state": "firing", "firedAt": _z(now - timedelta(hours=1)), "efficiencyRatio": row["efficiency"], "margin": margin,
    }  # fmt: skip


def summary(ac_kwh: float, efficiency: float, hours: float, readings: int = 60) -> Summary:
    """A judged window from its totals, by the real rules."""
    ac, dc = round(ac_kwh * 1e6), round(ac_kwh * efficiency * 1e6)
    both = {"readings": readings, "received": readings, "due": readings, "smallest_milliwh": 1000}
    seconds = round(hours * 3600)
    return summarise(
        Evidence(
            dc=Stream(energy_milliwh=dc, **both), ac=Stream(energy_milliwh=ac, **both), meter_ids=("CP-00042",), charging_s=seconds or None,
            plain_dc_milliwh=dc, plain_ac_milliwh=ac, plain_charging_s=seconds or None, temp_centi_c_sum=2000 * readings, temp_count=readings,
        )
    )  # fmt: skip


def timeline(row: dict[str, Any], chosen: Range, end: datetime) -> Timeline:
    """Charging at night, standing by day, one gap in the afternoon."""
    start, draw = end - chosen.span, random.Random(row["id"])
    efficiency = row["efficiency"] or 0.9
    bins, vehicle, meter = [], [], []
    soc = 40.0
    at = start.replace(minute=0, second=0, microsecond=0)
    while at < end:
        night = at.hour >= 18 or at.hour < 4
        if at.hour not in (13, 14):
            kwh = (9.2 if at.hour != 18 else 4.1) * (chosen.bin_s / 3600) if night else 0.0
            if (at - start) % timedelta(seconds=chosen.bin_s) < timedelta(hours=1):
                bins.append(
                    (at, summary(kwh if at.hour != 3 else 0.6, efficiency + draw.gauss(0, 0.006), chosen.bin_s / 3600 if kwh else 0))
                )
            for k in range(3600 // chosen.point_s):
                share = chosen.point_s / chosen.bin_s
                soc = min(100.0, soc + kwh * share * 1.1) if night else max(20.0, soc - 2.2 * share * 3)
                moment = at + timedelta(seconds=k * chosen.point_s)
                vehicle.append(VehiclePoint(moment, kwh * share * efficiency, soc, 14 + 0.08 * soc + draw.gauss(0, 0.2), 15))
                meter.append(MeterPoint(moment, kwh * share, 230 + draw.gauss(0, 1.4), 15))
        at += timedelta(hours=1)
    return Timeline(start, end, bins, chosen.bin_s, vehicle, meter, chosen.point_s)


def live(row: dict[str, Any], now: datetime) -> Live:
    """The vehicle as it is."""
    recorded = datetime.fromtimestamp(row["recordedAt"], UTC)
    meter = row["meterId"] and MeterNow(
        row["meterId"], None, None, row["site"], 11.0, recorded, recorded, 0.17, row["powerKw"] * 1.09, 231.2, row["lat"], row["lon"]
    )
    now_state = VehicleNow(
        row["id"], row["name"], "e-Transit 68 kWh", None, row["site"], "Europe/Berlin", row["meterId"], recorded, recorded, 0.16, row["powerKw"], row["soc"], row["batteryTemp"],
        row["lat"], row["lon"], recorded if row["lat"] is not None else None, meter,
    )  # fmt: skip
    readings = [
        LatestReading(recorded - timedelta(minutes=k), recorded - timedelta(minutes=k) + timedelta(seconds=2 if k % 9 else 3900), 0.1612 if row["charging"] else 0.0, row["soc"], row["batteryTemp"] if k % 5 else None)
        for k in range(50)
    ]  # fmt: skip
    return Live(now_state, readings, now)


def window(row: dict[str, Any], chosen: Range, end: datetime) -> Window:
    """A charge every night."""
    whole = summary(row["acKwh"] or 62.1, row["efficiency"], 6.0, 1440) if row["efficiency"] else summary(0.0, 1.0, 0.0, 1440)
    return Window(row["id"], chosen, end, whole, nights(row, end, chosen.span.days), PRICE, "EUR")


def nights(row: dict[str, Any], end: datetime, days: int) -> list[Session]:
    """A charge in each of so many nights up to `end`."""
    began = [end - timedelta(days=n, hours=8) for n in range(days) if row["efficiency"]]
    return [session(row, at, at + timedelta(hours=5, minutes=17), n % 6 == 4) for n, at in enumerate(began)][::-1]


def chart(row: dict[str, Any], start: datetime, end: datetime, now: datetime | None = None) -> Timeline:
    """Like dashboard.pages.vehicle.loading.load_chart: as fine as suits it, with the nights that touch it."""
    fine, span = detail(end - start), end - start
    like = Range("", "", span, max(3600, fine.bin_s), fine.bucket, fine.point_s)
    charged = [one for one in nights(row, now or end, 31) if one.end > start and one.start < end]
    return replace(timeline(row, like, end), bucket=fine.bucket, sessions=charged)


def session(row: dict[str, Any], start: datetime, end: datetime, poor: bool = False) -> Session:
    """At the vehicle's own charger; a `poor` one has too few readings to be judged."""
    ac = 9.2 * (end - start).total_seconds() / 3600
    judged = summary(0.6 if poor else ac, row["efficiency"], (end - start).total_seconds() / 3600)
    return Session((row["id"],), row["meterId"], start, end, False, 9.2, 10.9, 34.0, 96.0, judged)


def chargers(row: dict[str, Any], end: datetime, now: datetime) -> Chargers:
    """Three vehicles at three chargers; the first one is low everywhere, one pair has too little evidence."""
    low, meter = row["efficiency"] or 0.9, row["meterId"] or "CP-1"
    ratios = {(row["id"], meter): low, (row["id"], "CP-90001"): low, ("VAN-A", meter): 0.92, ("VAN-A", "CP-90001"): 0.91, ("VAN-B", "CP-90001"): 0.92, ("VAN-B", "CP-90002"): 0.9}  # fmt: skip
    cells = [Cell(*pair, summary(0.4 if pair[1] == "CP-90002" else 61.4, ratio, 6.0)) for pair, ratio in ratios.items()]
    turned = now - timedelta(days=20)
    assignments = [Assignment(row["id"], "CP-90001", None, turned), Assignment(row["id"], meter, turned, None)]
    changes = [
        AssignmentChange(2, now - timedelta(days=12), "anna", "api", row["id"], turned, turned + timedelta(days=3), "CP-90001", meter, True, "the cable was moved earlier"),
        AssignmentChange(1, now - timedelta(days=17), "import", "bulk", row["id"], turned + timedelta(days=3), None, "CP-90001", meter, False, None),
    ]  # fmt: skip
    return Chargers(row["id"], end, now, cells, "", assignments, changes)


class QuietHandler(WSGIRequestHandler):
    """Keeps connections, and its mouth shut."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_: Any) -> None:
        """Not a word."""


@contextmanager
def served(fleet: FakeFleet, tick_s: float = 1.0, **chosen: Any) -> Iterator[str]:
    """The real pages over this fleet, on a free port, with the product's own headers: whatever breaks its policy shows as a console error.

    They tick faster than in the product, for nobody to wait; large fleets need their five seconds.
    """
    from tests.alert_fakes import fake_alerts
    from tests.charger_support import fake_chargers

    loads = ("load_live", "load_window", "load_chart", "load_chargers")
    real, real_bins = {name: getattr(loading, name) for name in loads}, performance.bins
    for name in loads:
        setattr(loading, name, getattr(fleet, name))
    performance.bins = lambda _, vehicle_id, start, end, *__: timeline(fleet_row(fleet, vehicle_id), RANGES["24h"], end).bins  # type: ignore[assignment]
    server = make_server("127.0.0.1", 0, _app(fleet, tick_s, **chosen).server, threaded=True, request_handler=QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with fake_chargers(fleet), fake_alerts(fleet):
            yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        performance.bins = real_bins
        for name in loads:
            setattr(loading, name, real[name])


def fleet_row(fleet: FakeFleet, vehicle_id: str) -> dict[str, Any]:
    """The row of an id."""
    return next(row for row in fleet.rows if row["id"] == vehicle_id)


def _app(fleet: FakeFleet, tick_s: float, **chosen: Any) -> Any:
    from tests.charger_support import FakeList

    @contextmanager
    def read() -> Iterator[None]:
        yield None

    settings = config.Settings(_env_file=None, tick_s=tick_s, **chosen)
    services: Any = SimpleNamespace(
        settings=settings, picture=fleet, policies=Policies(), now=lambda: fleet.now, read=read, chargers=FakeList(fleet)
    )
    server = OpenAPI("voltledger-test")

    @server.before_request
    def fail() -> Any:
        return ("", 503) if fleet.broken else None

    return composition._dash(server, services)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Headless Chromium; every expectation waits PATIENCE_MS. Where none is installed the tests are skipped, and loudly: `make test` installs it."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("NO BROWSER: chromium is not installed, so nothing that people see was tested. Run tools/setup-browser.sh")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def knows_the_picture(page: Page) -> None:
    """Waits until three ticks of the page have been answered with a picture in hand: from then on every part of it notices a new reading."""
    for _ in range(3):
        with page.expect_response(lambda answer: "/live/fleet?since=" in answer.url):
            pass


@dataclass
class Watched:
    """A page with everything that went wrong on it."""

    page: Page
    address: str
    faults: list[str]

    def go(self, path: str, ready: str = "#main [data-state=ready]") -> Page:
        """Open a path of the server and wait until the page is filled."""
        self.page.goto(self.address + path)
        self.page.wait_for_selector(ready, state="attached")
        return self.page


def watch(browser: Browser, address: str, width: int = 1400, height: int = 900, scheme: Literal["light", "dark"] = "light") -> Watched:
    """A new page in a viewer's zone. Collected: console errors and warnings, exceptions, requests to any other host, dialogs."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="Europe/Berlin", locale="en-GB"
    )
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda m: faults.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: faults.append(f"exception: {e}"))
    page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else faults.append(f"another host: {r.url}"))
    page.on("dialog", lambda d: faults.append(f"dialog: {d.message}"))
    page.set_default_timeout(PATIENCE_MS)
    return Watched(page, address, faults)
