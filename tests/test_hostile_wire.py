"""V1–V9, V14 on the wire of the server as it is shipped, on both of its lanes: exact answers, bounded memory, and the next good request stored."""

import contextlib
import gzip
import json
import socket
import subprocess
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import VAN, fresh_database, van
from tests.test_worker import Server, post

pytestmark = pytest.mark.slow
MOST_GROWTH_MB = 20.0  # in three rounds in a row; a single bomb that is kept has as much
MOST_ROUNDS = 15
GOOD = json.dumps(VAN).encode()
HEAD = b"POST /v1/telemetry/vehicle HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
Said = tuple[int, str, dict[str, Any]]


@pytest.fixture(scope="module")
def server(postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("wire") / "log"
    with fresh_database(postgres_url, template_database, "hostile_wire") as url:
        running = Server(url, log=log)
        try:
            yield running
            assert "Traceback" not in log.read_text()
        finally:
            assert running.stop() == 0


@pytest.fixture(autouse=True)
def good_afterwards(server: Server, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever came before, the next good reading is stored, on both lanes."""
    yield
    for lane in ("loop", "thread"):
        device = f"after-{abs(hash(request.node.name))}-{lane}"
        body = json.dumps(van(vehicleId=device)).encode()
        status, _, said = ask(server, HEAD + framed(body, lane))
        assert (status, said["accepted"]) == (201, 1)


def framed(body: bytes, lane: str) -> bytes:
    """The rest of a request: a small body with its length stays in the event loop, one in chunks goes to a thread and Flask's side."""
    if lane == "loop":
        return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n"


def ask(server: Server, request: bytes) -> Said:
    """Status, content type and JSON of the answer. Whoever is refused early may not get rid of the rest of what it sends."""
    said = b""
    with server.connect() as line, contextlib.suppress(OSError):
        with contextlib.suppress(OSError):
            line.sendall(request)
            line.shutdown(socket.SHUT_WR)
        while part := line.recv(65_536):
            said += part
    head, _, body = said.partition(b"\r\n\r\n")
    assert head, "no answer"
    named = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return int(head.split()[1]), named["content-type"], json.loads(body)


def memory_mb(server: Server) -> float:
    """Resident memory of all its processes."""
    listed = subprocess.run(["ps", "-o", "rss=", "--ppid", str(server.process.pid)], capture_output=True, text=True, check=True)
    return sum(int(line) for line in listed.stdout.split()) / 1024


def _raw(name: str, value: bytes) -> bytes:
    parts = {**{key.encode(): json.dumps(inner).encode() for key, inner in VAN.items()}, name.encode(): value}
    return b"{" + b",".join(b'"%s":%s' % pair for pair in parts.items()) + b"}"


NOT_JSON, FAULTY = (400, "not_json"), (422, "invalid_readings")
BODIES: dict[str, tuple[bytes, tuple[int, str]]] = {
    "v1 NaN": (_raw("soc", b"NaN"), NOT_JSON),
    "v1 Infinity": (_raw("soc", b"-Infinity"), NOT_JSON),
    "v1 1e999": (_raw("soc", b"1e999"), NOT_JSON),
    "v1 true": (_raw("soc", b"true"), FAULTY),
    "v1 text": (_raw("soc", b'"12.5"'), FAULTY),
    "v2 1e308": (_raw("kwhDeliveredDc", b"1e308"), FAULTY),
    "v2 -1": (_raw("kwhDeliveredDc", b"-1"), FAULTY),
    "v2 10^400": (_raw("soc", b"1" + b"0" * 400), NOT_JSON),
    "v2 100.0001": (_raw("soc", b"100.0001"), FAULTY),
    "v2 -300": (_raw("batteryTemp", b"-300"), FAULTY),
    "v3 nul": (_raw("vehicleId", b'"a\\u0000b"'), FAULTY),
    "v3 lone surrogate": (_raw("vehicleId", b'"\\ud800"'), NOT_JSON),
    "v3 bad utf-8": (_raw("vehicleId", b'"a\xff"'), NOT_JSON),
    "v3 overlong": (_raw("vehicleId", b'"\xc0\x80"'), NOT_JSON),
    "v3 bom": (b"\xef\xbb\xbf" + GOOD, NOT_JSON),
    "v3 utf-16": (GOOD.decode().encode("utf-16"), NOT_JSON),
    "v4 30,000 deep": (b"[" * 30_000 + b"]" * 30_000, NOT_JSON),
    "v4 5,000 digits": (_raw("soc", b"9" * 5_000), NOT_JSON),
    "v5 null": (b"null", (400, "not_a_reading")),
    "v5 text": (b'"x"', (400, "not_a_reading")),
    "v5 number": (b"1", (400, "not_a_reading")),
    "v5 object": (b"{}", FAULTY),
    "v5 empty": (b"", NOT_JSON),
    "v5 trailing garbage": (GOOD + b" x", NOT_JSON),
    "v11 markup": (_raw("vehicleId", b'"<img src=x onerror=alert(1)>"'), FAULTY),
}


@pytest.mark.parametrize("lane", ["loop", "thread"])
@pytest.mark.parametrize("name", BODIES)
def test_v1_v2_v3_v4_v5_v11_a_hostile_body_has_its_exact_answer_on_both_lanes(server: Server, name: str, lane: str) -> None:
    body, (status, kind) = BODIES[name]
    got, content, said = ask(server, HEAD + framed(body, lane))
    assert (got, content, said["type"]) == (status, "application/problem+json", f"urn:voltledger:problem:{kind}")


@pytest.mark.parametrize("lane", ["loop", "thread"])
def test_v1_neighbours_of_a_bad_reading_are_stored(server: Server, lane: str) -> None:
    three = [van(vehicleId=f"near-{lane}-1"), van(soc="12.5"), van(vehicleId=f"near-{lane}-2")]
    status, _, said = ask(server, HEAD + framed(json.dumps(three).encode(), lane))
    assert (status, said["accepted"], said["rejected"], said["errors"][0]["index"]) == (207, 2, 1, 1)


@pytest.mark.parametrize("lane", ["loop", "thread"])
def test_v5_an_empty_list_is_a_success(server: Server, lane: str) -> None:
    status, _, said = ask(server, HEAD + framed(b"[]", lane))
    assert (status, said["received"]) == (200, 0)


GZIP: dict[str, tuple[bytes, str, tuple[int, str]]] = {
    "v8 truncated": (gzip.compress(GOOD)[:-5], "gzip", (400, "broken_gzip")),
    "v8 two members": (gzip.compress(GOOD) * 2, "gzip", (400, "broken_gzip")),
    "v8 not gzip": (GOOD, "gzip", (400, "broken_gzip")),
    "v8 gzip of gzip": (gzip.compress(gzip.compress(GOOD)), "gzip", NOT_JSON),
    "v8 deflate": (zlib.compress(GOOD), "deflate", (415, "unsupported_encoding")),
    "v8 br": (b"\x0b\x02\x80", "br", (415, "unsupported_encoding")),
    "v8 zstd": (b"\x28\xb5\x2f\xfd", "zstd", (415, "unsupported_encoding")),
    "v8 gzip named twice": (gzip.compress(GOOD), "gzip, gzip", (415, "unsupported_encoding")),
    "v8 bomb that fits the loop": (gzip.compress(b" " * 50_000_000), "gzip", (413, "too_large")),
}


@pytest.mark.parametrize("lane", ["loop", "thread"])
@pytest.mark.parametrize("name", GZIP)
def test_v8_what_is_packed_is_unpacked_within_bounds_or_refused(server: Server, name: str, lane: str) -> None:
    body, encoding, (status, kind) = GZIP[name]
    got, _, said = ask(server, HEAD + b"Content-Encoding: %s\r\n" % encoding.encode() + framed(body, lane))
    assert (got, said["type"]) == (status, f"urn:voltledger:problem:{kind}")


@pytest.mark.parametrize("lane", ["loop", "thread"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"])
def test_v9_another_content_type_is_415(server: Server, kind: str, lane: str) -> None:
    head = HEAD.replace(b"application/json", kind.encode())
    assert ask(server, head + framed(GOOD, lane))[0] == 415


def _get(more: bytes, path: bytes = b"/healthz") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n"


MALFORMED: dict[str, tuple[bytes, int]] = {
    "v6 a length of 1e14": (HEAD + b"Content-Length: 100000000000000\r\n\r\n", 413),
    "v6 a length over the limit": (HEAD + b"Content-Length: 6000000\r\n\r\n{", 413),
    "v6 a length below zero": (HEAD + b"Content-Length: -5\r\n\r\n{}", 400),
    "v6 a length with a sign": (HEAD + b"Content-Length: +2\r\n\r\n{}", 400),
    "v6 two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 400),
    "v6 length and chunks": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
    "v6 an unknown transfer coding": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n", 400),
    "v6 chunks that are none": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400),
    "v6 chunks that are none, elsewhere": (
        HEAD.replace(b"telemetry/vehicle", b"mappings").replace(b"application/json", b"text/csv")
        + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        400,
    ),
    "v6 a folded header": (HEAD + b"X-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\n{}", 400),
    "v6 a space before the colon": (HEAD + b"Content-Length : 2\r\n\r\n{}", 400),
    "v14 a header of 300 kB": (_get(b"X-A: " + b"a" * 300_000 + b"\r\n"), 431),
    "v14 5,000 headers": (_get(b"".join(b"X-A%d: a\r\n" % n for n in range(5_000))), 431),
    "v14 a path of 100 kB": (_get(b"", b"/" + b"a" * 100_000), 414),
    "v13 a path with a NUL": (_get(b"", b"/v1/vehicles/a%00b"), 422),
    "v13 a path that leads out": (_get(b"", b"/v1/../../etc/passwd"), 404),
    "v13 a packed path that leads out": (_get(b"", b"/v1/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), 404),
    "garbage": (b"\x00\x01\x02garbage\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_v6_v13_v14_malformed_http_is_refused_in_the_words_of_our_own_refusals(server: Server, name: str) -> None:
    request, status = MALFORMED[name]
    got, content, said = ask(server, request)
    assert (got, content, said["status"]) == (status, "application/problem+json", status)
    assert said["requestId"]


def test_v6_a_chunked_body_over_the_limit_is_413_and_never_cut(server: Server) -> None:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    assert ask(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 90 + b"0\r\n\r\n")[0] == 413


def test_v4_v6_v8_v14_memory_grows_by_no_more_than_a_bound(server: Server) -> None:
    """Bombs, depth, many keys, huge heads, each again and again: each of the threads takes what it needs once (its arena), and then no more."""
    bomb = gzip.compress(b"[" + b" " * (1 << 28))  # 256 MiB in 255 kB
    keys = b"{" + b",".join(b'"k%d":0' % n for n in range(400_000)) + b"}"
    packed = HEAD + b"Content-Encoding: gzip\r\n"
    attacks = [
        packed + framed(bomb, "thread"),
        packed + framed(gzip.compress(b" " * 50_000_000), "loop"),
        HEAD + framed(b"[" * 30_000, "loop"),
        HEAD + framed(b"[" * 2_000_000, "thread"),
        HEAD + framed(keys, "thread"),
        HEAD + b"Content-Length: 100000000000000\r\n\r\n",
        _get(b"X-A: " + b"a" * 300_000 + b"\r\n"),
    ]

    sizes = [memory_mb(server)]
    for _ in range(MOST_ROUNDS):
        for one in attacks:
            assert 400 <= ask(server, one)[0] < 500
        sizes.append(memory_mb(server))
        if len(sizes) > 3 and sizes[-1] - sizes[-4] <= MOST_GROWTH_MB:
            return
    raise AssertionError(f"it grows and grows: {sizes}")


def test_v7_5001_readings_are_413_on_both_lanes_and_say_the_limit(server: Server) -> None:
    many = b"[" + b",".join([b"{}"] * 5_001) + b"]"
    for lane in ("loop", "thread"):
        status, _, said = ask(server, HEAD + framed(many, lane))
        assert (status, said["type"]) == (413, "urn:voltledger:problem:batch_too_large")
        assert "5000" in said["detail"]


def test_v6_the_rest_of_a_refused_request_is_no_request(server: Server) -> None:
    """What stands behind a head that two readers could understand differently is never served."""
    smuggled = post(van(vehicleId="smuggled"))
    with server.connect() as line:
        line.sendall(HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled)
        line.shutdown(socket.SHUT_WR)
        said = b""
        with contextlib.suppress(OSError):
            while part := line.recv(65_536):
                said += part
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.startswith(b"HTTP/1.1 400 ")
    assert ask(server, post(van(vehicleId="smuggled")))[0] == 201
