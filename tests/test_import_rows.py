"""Backfill judges rows as the door for devices does: the columns' way and `api.schemas` never disagree."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.importing.csv_files import CsvFile
from api.importing.files import UnusableFile
from api.importing.parquet_files import ParquetFile
from api.importing.rows import Checked, Chunk, check, columns_of, items, plainly_good
from api.schemas import METER_WIRE, VEHICLE_WIRE, Clock, Wire, readings
from db.columns import Columns

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
CLOCK = Clock.at(NOW, 300, None)
VEHICLE_HEADER = "vehicleId,soc,kwhDeliveredDc,batteryTemp,timestamp,latitude,longitude"

odd_numbers = st.sampled_from(
    [
        *"""0 -0.0 0.0000005 0.0000015 0.0000025 1e-7 50 50.0 50.0000001 49.9999999 100 100.00001 -60 150 1000 90 -90 180 5e-324 1e999 -1e999 1e308\n    NaN nan Infinity inf -inf 5. .5 +5 05 0x10 1_000 1e5 1E+2 true null ١٢ 1,5 5;""".split(),
        "",
        " ",
        " 5",
        "5 ",
        "-",
        '"',
        "9" * 400,
        "0." + "1" * 400,
    ]
)
numbers = st.one_of(
    st.floats(-0.001, 50.001).map(repr), st.floats(0, 100).map(lambda x: f"{x:.7f}"), st.integers(-200, 1100).map(str), odd_numbers
)
good_ids = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
ids = st.one_of(
    good_ids, st.sampled_from(["", " ", "a" * 64, "a" * 65, "-a", "a b", " van-7", "van-7\t", "é", "ａ", "a\u0000", "=1+1", "van-7\x0b"])
)
offsets = st.sampled_from(["Z", "z", "+00:00", "-00:00", "+05:30", "-0800", "+23:59", "-23:59", "+24:00", "+5", "", "+05:60", "Zulu"])
fractions = st.one_of(st.just(""), st.from_regex(r"\A\.[0-9]{0,10}\Z"))
instants = st.timedeltas(timedelta(days=-9532), timedelta(minutes=6)).map(lambda since: NOW + since)
times = st.one_of(
    st.builds(lambda at, t, f, o: f"{at:%Y-%m-%d}{t}{at:%H:%M:%S}{f}{o}", instants, st.sampled_from("TTTTt "), fractions, offsets),
    st.sampled_from(
        [
            *"""2024-02-29T10:00:00Z 2025-02-29T10:00:00Z 2025-04-31T10:00:00Z 2026-02-04T24:00:00Z 2026-02-04T10:00:60Z 2026-02-04 0000-01-01T00:00:00Z\n        9999-12-31T23:59:59Z 2026-13-01T00:00:00Z 2000-01-01T00:00:00Z 1999-12-31T23:59:59.999999Z 2026-02-04T12:05:00Z 2026-02-04T12:05:00.000001Z\n        1770199200 now 2026-02-04T10:00:00,5Z 2026-02-04T10:00:00.9999999Z 0001-01-01T00:00:00+23:00""".split(),
            "",
        ]
    ),
)


def rows_of(wire: Wire) -> st.SearchStrategy[list[dict[str, str]]]:
    """Rows of text, good and bad."""
    cells = {wire.id_name: ids, "timestamp": times} | {number.name: numbers for number in wire.numbers}
    plain = {wire.id_name: good_ids, "timestamp": instants.map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S.%fZ}")}
    plain |= {number.name: st.floats(max(0.0, number.low), number.high).map(lambda x: f"{x:.6f}") for number in wire.numbers}
    return st.lists(st.one_of(st.fixed_dictionaries(cells), st.fixed_dictionaries({**cells, **plain})), min_size=1, max_size=30)


def as_posted(wire: Wire, row: dict[str, str]) -> dict[str, Any]:
    """A row as a device would have posted it, made independently of the code under test."""
    item: dict[str, Any] = {name: row[name].strip() for name in (wire.id_name, "timestamp") if row[name].strip()}
    for number in wire.numbers:
        value = number_or_text(row[number.name].strip())
        if value is not None or number.nullable:
            item[number.name] = value
    return item


def number_or_text(text: str) -> Any:
    if not text:
        return None
    try:
        value = json.loads(text, parse_constant=str, parse_int=float)
    except ValueError:
        return text
    return value if isinstance(value, float) and not isinstance(value, bool) else text


def chunk_of(rows: list[dict[str, str]]) -> Chunk:
    cells = {name: pa.array([row[name].encode() for row in rows], pa.binary()) for name in rows[0]}
    return Chunk(cells, np.arange(2, 2 + len(rows)), 0, 0, 0)


def as_lists(columns: Columns) -> tuple[list[str], list[int], list[list[int]]]:
    return columns.ids, columns.recorded_at_us.tolist(), columns.values.tolist()


def agree(wire: Wire, rows: list[dict[str, str]]) -> None:
    posted = [as_posted(wire, row) for row in rows]
    wanted, indexes, faults = readings(wire, posted, CLOCK, "", 0)
    chunk = chunk_of(rows)
    fast, good = plainly_good(wire, chunk.cells, len(rows), CLOCK)
    assert set(np.flatnonzero(good)) <= set(indexes)
    of_index = dict(zip(indexes, wanted, strict=True))
    assert as_lists(fast) == as_lists(columns_of(wire, [of_index[int(i)] for i in np.flatnonzero(good)]))
    found = check(wire, chunk, CLOCK)
    assert as_lists(found.columns) == as_lists(columns_of(wire, wanted))
    assert [line - 2 for line in found.lines.tolist()] == indexes
    assert [(r.line - 2, r.code, r.pointer, r.detail) for r in found.rejected] == [
        (f["index"], f["code"], f["pointer"], f["detail"]) for f in faults
    ]


@settings(max_examples=150, deadline=None)
@given(rows_of(VEHICLE_WIRE))
def test_vehicle_rows_are_judged_as_posted_ones(rows: list[dict[str, str]]) -> None:
    agree(VEHICLE_WIRE, rows)


@settings(max_examples=150, deadline=None)
@given(rows_of(METER_WIRE))
def test_meter_rows_are_judged_as_posted_ones(rows: list[dict[str, str]]) -> None:
    agree(METER_WIRE, rows)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 100_000_000), min_size=1, max_size=200))
def test_energy_is_rounded_as_posted_energy_is(half_milliwh: list[int]) -> None:
    """Halves of a thousandth of a Wh, written out: the case where ways of rounding differ."""
    rows = [
        {"meterId": "depot-1", "kwhConsumedAc": f"{n / 2_000_000:.7f}", "voltage": "", "timestamp": "2026-02-04T10:00:00Z"}
        for n in half_milliwh
    ]
    columns, good = plainly_good(METER_WIRE, chunk_of(rows).cells, len(rows), CLOCK)
    assert good.all()
    assert columns.values[0].tolist() == [round(float(row["kwhConsumedAc"]) * 1_000_000) for row in rows]


def test_ordinary_rows_take_the_columns_way() -> None:
    """A row that has to be judged alone takes ten times as long: what is ordinary must not."""
    row = dict(zip(VEHICLE_HEADER.split(","), "van-7,41.5,0.0,,2026-02-04T10:00:00+01:00,48.1,11.5".split(","), strict=True))
    variants = [
        row,
        {**row, "latitude": "", "longitude": ""},
        {**row, "batteryTemp": "-3"},
        {**row, "timestamp": "2024-02-29 10:00:00.25Z"},
    ]
    assert plainly_good(VEHICLE_WIRE, chunk_of(variants).cells, 4, CLOCK)[1].all()


# ------------------------------------------------------------------------------------------------------------------------- CSV files


def read_csv(file: Path, text: bytes, block_bytes: int = 1 << 20) -> Checked:
    """What the chunks of a file hold together."""
    file.write_bytes(text)
    source = CsvFile(file, block_bytes)
    return together([check(source.wire, chunk, CLOCK) for chunk in source.chunks(0, 0)])


def together(parts: list[Checked]) -> Checked:
    columns = Columns(
        [name for part in parts for name in part.columns.ids],
        np.concatenate([part.columns.recorded_at_us for part in parts]),
        np.concatenate([part.columns.values for part in parts], axis=1),
    )
    return Checked(columns, np.concatenate([part.lines for part in parts]), [fault for part in parts for fault in part.rejected])


def line(minute: int, **changes: str) -> str:
    row = dict(zip(VEHICLE_HEADER.split(","), f"van-7,41,0.1,,2026-02-04T10:{minute:02}:00Z,,".split(","), strict=True))
    return ",".join({**row, **changes}.values())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("block_bytes", [64, 150, 1 << 20])
def test_lines_are_numbered_as_an_editor_does(tmp_path: Path, newline: str, block_bytes: int) -> None:
    """Blank lines, torn rows and quotes change neither the numbers nor the neighbours."""
    text = [
        VEHICLE_HEADER,
        line(1),
        "",
        line(3),
        "van-7,41",
        line(5, soc="101"),
        '"van-7",41,"0.1",,2026-02-04T10:06:00Z,,',
        'a"b,1',
        line(8),
        "",
        line(10).replace("7,", "7\r,"),
    ]
    found = read_csv(tmp_path / "x.csv", newline.join(text).encode(), block_bytes)
    assert found.lines.tolist() == [2, 4, 7, 9]
    assert [(fault.line, fault.code) for fault in found.rejected] == [
        (5, "wrong_type"),
        (6, "out_of_range"),
        (8, "wrong_type"),
        (11, "wrong_type"),
    ]


def test_a_quoted_field_does_not_go_over_two_lines(tmp_path: Path) -> None:
    text = f'{VEHICLE_HEADER},note\n{line(1)},"one\ntwo"\n{line(4)},three\n'
    found = read_csv(tmp_path / "x.csv", text.encode())
    assert found.lines.tolist() == [4]
    assert [fault.line for fault in found.rejected] == [2, 3]


def test_a_byte_order_mark_unknown_columns_and_another_order_are_no_trouble(tmp_path: Path) -> None:
    text = "\ufefftimestamp,x_note,voltage,kwhConsumedAc, meterId \n2026-02-04T10:00:00Z,ü,230.5,0.25,depot-1"
    found = read_csv(tmp_path / "x.csv", text.encode())
    assert as_lists(found.columns)[::2] == (["depot-1"], [[250_000], [23_050], [-(2**31)], [-(2**31)]])


def test_bytes_that_are_no_text_are_refused_where_they_stand(tmp_path: Path) -> None:
    text = f"{VEHICLE_HEADER}\n{line(1)}\n".encode() + line(2).encode().replace(b"van", b"\xff\xfe") + b"\n" + line(3).encode()
    found = read_csv(tmp_path / "x.csv", text)
    assert [(fault.line, fault.code) for fault in found.rejected] == [(3, "invalid_text")]


def test_reading_goes_on_at_any_position_a_chunk_named(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    whole = read_csv(file, "\n".join([VEHICLE_HEADER, *(line(n) for n in range(40))]).encode())
    chunks = list(CsvFile(file, 200).chunks(0, 0))
    assert len(chunks) > 5
    for n, chunk in enumerate(chunks):
        rest = list(CsvFile(file, 333).chunks(chunk.position, chunk.next_line))
        assert np.concatenate([c.lines for c in (*chunks[: n + 1], *rest)]).tolist() == whole.lines.tolist()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("vehicleId,soc,kwhDeliveredDc,timestamp", "column batteryTemp missing"),
        ("meterId,timestamp", "column kwhConsumedAc and voltage missing"),
        ("name,value", "the columns are name, value"),
        ("vehicleId;soc;kwhDeliveredDc", "the columns are vehicleId;soc"),
        ("", "the columns are none"),
        ("meterId,kwhConsumedAc,voltage,timestamp,voltage", "column voltage is there twice"),
    ],
)
def test_a_file_without_what_it_needs_is_refused_by_name(tmp_path: Path, header: str, words: str) -> None:
    with pytest.raises(UnusableFile, match=words) as refused:
        read_csv(tmp_path / "torn.csv", f"{header}\n1,2\n".encode())
    assert "torn.csv" in str(refused.value)


def test_a_file_without_line_ends_is_not_read_whole(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="longer than"):
        read_csv(tmp_path / "x.csv", VEHICLE_HEADER.encode() + b"\n" + b"x" * 3_000_000, 1 << 20)


# --------------------------------------------------------------------------------------------------------------------- Parquet files

METER_COLUMNS = {
    "meterId": pa.array(["depot-1", "depot-1", "é", "depot-1", None]),
    "kwhConsumedAc": pa.array([0.25, float("nan"), 0.25, None, 0.25]),
    "voltage": pa.array([None, 230, 230, 230, 230], pa.int16()),
    "timestamp": pa.array([NOW - timedelta(minutes=n) for n in range(5)], pa.timestamp("ms", "Europe/Berlin")),
}


def read_parquet(file: Path, columns: dict[str, Any], rows: int = 2) -> Checked:
    pq.write_table(pa.table(columns), file, row_group_size=3)
    source = ParquetFile(file, rows)
    return together([check(source.wire, chunk, CLOCK) for chunk in source.chunks(0, 0)])


def test_parquet_rows_are_judged_as_posted_ones(tmp_path: Path) -> None:
    found = read_parquet(tmp_path / "x.parquet", METER_COLUMNS)
    assert (found.lines.tolist(), found.columns.values.tolist()) == ([1], [[250_000], [-(2**31)], [-(2**31)], [-(2**31)]])
    assert [(fault.line, fault.code) for fault in found.rejected] == [
        (2, "out_of_range"),
        (3, "invalid_text"),
        (4, "missing_field"),
        (5, "missing_field"),
    ]


@pytest.mark.parametrize("kind", [pa.timestamp(unit, "UTC") for unit in ("s", "ms", "us", "ns")] + [pa.timestamp("ns", "Asia/Kathmandu")])
@settings(max_examples=50, deadline=None)
@given(instants=st.lists(st.integers(0, 2**62), min_size=1, max_size=20))
def test_parquet_instants_are_those_that_api_schemas_reads(kind: pa.DataType, instants: list[int]) -> None:
    """Every unit, also with fractions finer than a microsecond and years that no clock shows."""
    cells = {
        **{name: METER_COLUMNS[name].take([0] * len(instants)) for name in ("meterId", "kwhConsumedAc", "voltage")},
        "timestamp": pa.array(instants, pa.int64()).cast(kind),
    }
    posted = items(METER_WIRE, cells, np.arange(len(instants)))
    wanted, indexes, _ = readings(METER_WIRE, posted, CLOCK, "", 0)
    found, good = plainly_good(METER_WIRE, cells, len(instants), CLOCK)
    assert np.flatnonzero(good).tolist() == indexes
    assert found.recorded_at_us.tolist() == [row[1] for row in wanted]


@pytest.mark.parametrize(
    "energy",
    [
        pa.array([Decimal("0.250000"), Decimal("0.0000005"), Decimal("12.3456785")]),
        pa.array([0, 7, 50], pa.uint8()),
        pa.array([0.1, 0.0000005, 49.99], pa.float32()),
    ],
)
def test_parquet_numbers_of_every_kind_mean_what_their_value_means(energy: Any) -> None:
    cells = {name: METER_COLUMNS[name].take([0, 0, 0]) for name in METER_COLUMNS} | {"kwhConsumedAc": energy}
    found, good = plainly_good(METER_WIRE, cells, 3, CLOCK)
    assert good.all()
    assert found.values[0].tolist() == [round(float(value) * 1_000_000) for value in energy.to_pylist()]


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("timestamp", pa.array([NOW.replace(tzinfo=None)] * 5), "column timestamp is a timestamp with a time zone"),
        ("kwhConsumedAc", pa.array(["0.1"] * 5), "column kwhConsumedAc holds numbers, not string"),
        ("voltage", pa.array([True] * 5), "column voltage holds numbers, not bool"),
        ("meterId", pa.array([1] * 5), "column meterId is text, not int64"),
    ],
)
def test_a_parquet_column_of_another_type_is_refused_by_name(tmp_path: Path, name: str, values: Any, words: str) -> None:
    with pytest.raises(UnusableFile, match=words):
        read_parquet(tmp_path / "x.parquet", METER_COLUMNS | {name: values})


def test_parquet_reading_goes_on_at_any_row(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    read_parquet(file, METER_COLUMNS)
    for position in range(6):
        chunks = ParquetFile(file, 2).chunks(position, position + 1)
        assert [n for chunk in chunks for n in chunk.lines.tolist()] == list(range(position + 1, 6))
