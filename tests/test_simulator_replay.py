"""Recorded files go over the wire as they are written, and what cannot be sent is said."""

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from simulator import replay
from simulator.cli import main
from simulator.wire import Answer

DATA = Path(__file__).parent / "data"
VEHICLE = "vehicleId,soc,kwhDeliveredDc,batteryTemp,timestamp,latitude,longitude"


class Recorder:
    """Stands in for the wire: keeps what is posted and answers by a script, then 201."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.posts: list[tuple[str, bytes]] = []

    def send(self, method: str, path: str, body: bytes) -> Answer:
        self.posts.append((path, body))
        receipt = {"accepted": len(json.loads(body)), "duplicates": 0, "rejected": 0}
        return self.answers.pop(0) if self.answers else Answer(201, json.dumps(receipt).encode())


def file(folder: Path, *lines: str, encoding: str = "utf-8", end: str = "\n") -> Path:
    path = folder / "some.csv"
    path.write_bytes(end.join(lines).encode(encoding) + end.encode())
    return path


def bodies(recording: replay.Recording) -> list[dict[str, object]]:
    return [json.loads(row.body, parse_float=Decimal) for row in recording.rows]


def test_numbers_travel_exactly_as_written(tmp_path: Path) -> None:
    path = file(tmp_path, VEHICLE, "V1,80.50,0.10,1e1,2026-03-02T18:00:00Z,,")
    assert b'"soc":80.50,"batteryTemp":1e1' in replay.read(path).rows[0].body
    assert b'"kwhDeliveredDc":0.10,' in replay.read(path).rows[0].body


def test_empty_means_not_measured_and_no_position_is_left_out(tmp_path: Path) -> None:
    path = file(tmp_path, VEHICLE, "V1,,0.1,,2026-03-02T18:00:00Z,,", "V1,8,0.1,9,2026-03-02T18:01:00Z,52.5,13.4")
    first, second = bodies(replay.read(path))
    assert first == {
        "vehicleId": "V1",
        "timestamp": "2026-03-02T18:00:00Z",
        "soc": None,
        "kwhDeliveredDc": Decimal("0.1"),
        "batteryTemp": None,
    }
    assert second["latitude"] == Decimal("52.5")


def test_a_row_without_energy_is_skipped_and_counted(tmp_path: Path) -> None:
    recording = replay.read(file(tmp_path, VEHICLE, "V1,8,,9,2026-03-02T18:00:00Z,,", "V1,8,0,9,2026-03-02T18:01:00Z,,"))
    assert (recording.lines, len(recording.rows), recording.skipped) == (2, 1, 1)
    assert recording.rows[0].line == 3


def test_what_is_no_number_goes_over_as_text(tmp_path: Path) -> None:
    """So that the server says what is wrong with it, instead of the file being quietly mended."""
    recording = replay.read(file(tmp_path, VEHICLE, "V1,NaN,.5,9°,2026-03-02T18:00:00Z,,"))
    assert bodies(recording)[0]["soc"] == "NaN"
    assert bodies(recording)[0]["kwhDeliveredDc"] == ".5"


def test_column_order_extras_blank_lines_windows_ends_and_a_bom_do_not_matter(tmp_path: Path) -> None:
    lines = (
        "timestamp, x_note ,voltage,meterId,kwhConsumedAc",
        "2026-03-02T18:00:00Z,a,230, M1 ,0.1",
        "",
        "2026-03-02T18:01:00Z,b,,M1,0.2",
    )
    recording = replay.read(file(tmp_path, *lines, encoding="utf-8-sig", end="\r\n"))
    assert recording.layout.name == "meter"
    assert [sorted(body) for body in bodies(recording)] == [["kwhConsumedAc", "meterId", "timestamp", "voltage"]] * 2
    assert bodies(recording)[0]["meterId"] == "M1"
    assert bodies(recording)[1]["voltage"] is None


@pytest.mark.parametrize("head", ["a,b", "vehicleId,soc,timestamp", "", VEHICLE.replace(",", ";")])
def test_an_unknown_layout_names_file_columns_and_what_is_needed(tmp_path: Path, head: str) -> None:
    with pytest.raises(replay.UnknownLayout) as raised:
        replay.read(file(tmp_path, head))
    words = str(raised.value)
    assert "some.csv" in words
    assert (head.partition(",")[0] or "none") in words
    assert "kwhDeliveredDc" in words
    assert "kwhConsumedAc" in words


def test_a_ragged_row_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(replay.UnknownLayout, match="line 2: 2 fields under 7 columns"):
        replay.read(file(tmp_path, VEHICLE, "V1,80"))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00binary", b'vehicleId,"unclosed'])
def test_what_is_no_csv_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes(content)
    with pytest.raises(replay.UnknownLayout, match=r"some\.csv"):
        replay.read(path)


def test_the_made_up_session_holds_its_documented_truth() -> None:
    vehicle, meter = replay.read(DATA / "vehicle.csv"), replay.read(DATA / "meter.csv")
    dc = sum(Decimal(str(body["kwhDeliveredDc"])) for body in bodies(vehicle))
    ac = sum(Decimal(str(body["kwhConsumedAc"])) for body in bodies(meter))
    assert (dc, ac) == (Decimal("19.0"), Decimal("20.652"))
    assert round(dc / ac, 4) == Decimal("0.92")
    assert (vehicle.lines, vehicle.skipped, meter.lines, meter.skipped) == (124, 1, 123, 0)
    times = [row.at_s for row in vehicle.rows if row.at_s is not None]
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) == 18.0
    assert max(gaps) == 131.0
    assert all(body["batteryTemp"] is None for body in bodies(vehicle))


def test_files_are_posted_in_batches_to_their_own_address() -> None:
    wire = Recorder()
    vehicle, meter = replay.post([replay.read(DATA / "vehicle.csv"), replay.read(DATA / "meter.csv")], wire, 100, None)
    assert [(path, len(json.loads(body))) for path, body in wire.posts] == [
        ("/v1/telemetry/vehicle", 100),
        ("/v1/telemetry/vehicle", 23),
        ("/v1/telemetry/meter", 100),
        ("/v1/telemetry/meter", 23),
    ]
    assert (vehicle.posted, vehicle.accepted, meter.accepted) == (123, 123, 123)


def test_in_rhythm_a_vehicle_and_its_meter_report_side_by_side() -> None:
    wire = Recorder()
    files = [replay.read(DATA / "vehicle.csv"), replay.read(DATA / "meter.csv")]
    outcomes = replay.post(files, wire, 1000, 20_000.0)
    assert [o.accepted for o in outcomes] == [123, 123]
    assert len({path for path, _ in wire.posts[:3]}) == 2
    assert len(wire.posts) > 4


def test_rejections_are_told_with_line_code_and_detail(tmp_path: Path) -> None:
    path = file(tmp_path, VEHICLE, "V1,8,0,9,2026-03-02T18:00:00Z,,", "V1,800,0,9,2026-03-02T18:01:00Z,,")
    error = {"index": 1, "pointer": "/soc", "code": "out_of_range", "detail": "0 to 100"}
    wire = Recorder(Answer(207, json.dumps({"accepted": 1, "duplicates": 0, "rejected": 1, "errors": [error]}).encode()))
    (outcome,) = replay.post([replay.read(path)], wire, 10, None)
    assert (outcome.accepted, outcome.rejected, dict(outcome.codes)) == (1, 1, {"out_of_range": 1})
    assert outcome.details == ["line 3: out_of_range /soc 0 to 100"]


def test_a_refused_request_counts_all_its_rows_as_rejected(tmp_path: Path) -> None:
    path = file(tmp_path, VEHICLE, "V1,8,0,9,2026-03-02T18:00:00Z,,")
    (outcome,) = replay.post([replay.read(path)], Recorder(Answer(413, b'{"title":"Too large"}')), 10, None)
    assert (outcome.posted, outcome.rejected, outcome.details) == (1, 1, ["line 2: HTTP 413 Too large"])


def test_the_command_refuses_an_unknown_file_with_one_clear_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["replay", str(file(tmp_path, "a,b"))])
    assert result.exit_code == 1
    assert "columns found: a, b" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "inf"])
def test_the_command_refuses_a_speed_that_is_none(speed: str) -> None:
    result = CliRunner().invoke(main, ["replay", str(DATA / "vehicle.csv"), "--speed", speed])
    assert result.exit_code == 2
    assert "say max" in result.output
