"""Small changes to requests that are right: in bytes, in structure, in headers. A seed gives the same ones again."""

import gzip
import json
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.support import depot, van

ODD: tuple[Any, ...] = (
    None, True, False, 0, -0.0, -1, 1e308, 5e-324, 10**400, 2**63, "", " ", "\u0000", "a\u0000b", "\ud800", "12.5", "x" * 70_000, "<img src=x onerror=1>",
    "../../etc/passwd", "=cmd()", "'; DROP TABLE vehicle_history; --", "\u202e", "🚚", [], {}, [[]], [None] * 3, {"a": {"b": [1]}},
    "0000-00-00T00:00:00Z", "9999-12-31T23:59:59.999999999+23:59", "2026-02-04T24:00:00Z", "2026-02-04T23:59:60Z", "infinity", "1970-01-01T00:00:00Z",
)  # fmt: skip
TOKENS = (b"NaN", b"Infinity", b"1e999", b"\\u0000", b"\\ud800", b"\xff", b"\xc0\x80", b"[" * 2000, b'{"a":' * 500, b"]", b"}", b'"', b"\\", b"\x00",
          b"\xef\xbb\xbf", b"9" * 5000, b"\r\n", b",", b";", b'"unclosed')  # fmt: skip
HEADERS = (
    "Content-Encoding: gzip", "Content-Encoding: br", "Content-Encoding: gzip, gzip", "Content-Encoding:", "Content-Type: text/plain",
    "Content-Type: application/json; charset=utf-16", "Content-Type: APPLICATION/JSON ; x", "Content-Length: 5", "Content-Length: -1",
    "Content-Length: 0x10", "Content-Length: +3", "Content-Length: 1e3", "Content-Length: 99999999999999999999", "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, gzip", "Expect: 100-continue", "Expect: x",
    "Authorization: Bearer", "Authorization: Bearer a.b", "Authorization: Basic !!", "X-Forwarded-For: ,,1.2.3.4,\t", "Connection: close",
    "Connection: upgrade", "Upgrade: h2c", "Host: y", "X-A: " + "a" * 5000, "X-\x00: a", " folded: a", "X-A : a", "X-A", "\x1b[31mX: a",
    "Cookie: session=\x7f", "Range: bytes=0-", "Origin: null", "Sec-Fetch-Site: cross-site", "X-Request-Id: a\tb", "Trailer: a", "TE: trailers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sent:
    """One request. `chunked`: the body goes in chunks, which keeps it from the event loop's own lane."""

    method: str
    path: str
    body: bytes
    kind: str = "application/json"
    extra: tuple[str, ...] = ()
    chunked: bool = False
    drop: frozenset[str] = field(default_factory=frozenset)

    def wire(self) -> bytes:
        """As bytes for a socket; the connection ends with it."""
        headers = {"Host": "x", "Content-Type": self.kind, "Connection": "close"}
        if self.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if name not in self.drop)]
        head = "\r\n".join([*lines, *self.extra]).encode("latin-1", "replace") + b"\r\n\r\n"
        return head + (_chunks(self.body) if self.chunked else self.body)


def _chunks(body: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"


def right_ones(callback: dict[str, Any]) -> list[Sent]:
    """What is right, of every route that takes a body; `callback` is one of Dash's."""
    batch = {"vehicles": [van(), van(vehicleId="b")], "meters": [depot()]}
    telemetry = [("vehicle", van()), ("vehicle", [van(), van(vehicleId="a:1")]), ("meter", depot()), ("batch", batch)]
    plain = [Sent("POST", f"/v1/telemetry/{path}", json.dumps(body).encode()) for path, body in telemetry]
    small = [replace(one, body=gzip.compress(one.body, mtime=0), extra=("Content-Encoding: gzip",)) for one in plain]
    return [
        *plain,
        *small,
        *(replace(one, chunked=True) for one in (*plain, *small)),
        Sent("POST", "/_dash-update-component", json.dumps(callback).encode()),
        Sent("POST", "/v1/mappings?unknown=accept", b"vehicle_id,meter_id,from,to\nvan-7,depot-1,2026-02-04T10:00:00Z,\n", "text/csv"),
        Sent("POST", "/v1/sites", b"site_id,name,latitude,longitude,time_zone\nber,Berlin,52.5,13.4,Europe/Berlin\n", "text/csv"),
        Sent("PUT", "/v1/mappings/van-7", b'{"meterId": "depot-1", "from": "2026-02-04T10:00:00Z", "by": "a", "note": "b"}'),
        Sent("PUT", "/v1/vehicles/van-7", b'{"name": "Van", "model": "M", "plainLow": 0.8}'),
    ]


_GROWS_FROM = 200_000  # bytes; fifty times that is twice what the server takes


def mutated(one: Sent, chance: Random) -> Sent:
    """One to four changes."""
    for _ in range(chance.randint(1, 4)):
        one = replace(one, body=one.body[:_GROWS_FROM])  # a list that is repeated again and again fills the memory
        one = chance.choice((_bytes, _bytes, _structure, _structure, _structure, _headers, _path, _gzip))(one, chance)
    return one


def _bytes(one: Sent, chance: Random) -> Sent:
    raw, at = one.body, chance.randint(0, len(one.body))
    return replace(
        one,
        body=chance.choice(
            (
                raw[:at],
                raw[at:],
                raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :],
                raw[:at] + chance.choice(TOKENS) + raw[at:],
                raw[:at] + chance.randbytes(8) + raw[at:],
                raw + raw[:at],
                raw[: at // 2] + raw[at:],
            )
        ),
    )


def _structure(one: Sent, chance: Random) -> Sent:
    """A value in the JSON replaced, removed, renamed or repeated; bytes where it is none."""
    try:
        value = json.loads(one.body)
    except (ValueError, RecursionError):  # it may be deeply nested already
        return _bytes(one, chance)
    try:
        return replace(one, body=json.dumps(_changed(value, chance)).encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return one


def _changed(value: Any, chance: Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        how = chance.randrange(5)
        rest = {key: inner for key, inner in value.items() if key != name}
        if how == 0:
            return rest
        if how == 1:
            return {**rest, chance.choice(("", name.upper(), name + "\u0000", "x" * 300, "__proto__")): value[name]}
        return {**value, name: _changed(value[name], chance) if how > 2 else chance.choice(ODD)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return [*value[:at], _changed(value[at], chance), *value[at + chance.randint(0, 1) :]] * chance.choice((1, 1, 1, 2, 50))
    return chance.choice(ODD)


def _headers(one: Sent, chance: Random) -> Sent:
    how = chance.randrange(4)
    if how == 0:
        return replace(one, drop=one.drop | {chance.choice(("Host", "Content-Type", "Content-Length", "Transfer-Encoding"))})
    if how == 1:
        return replace(one, method=chance.choice(("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "post", "P\tT", "")))
    return replace(one, extra=(*one.extra, chance.choice(HEADERS)))


def _path(one: Sent, chance: Random) -> Sent:
    if chance.random() < 0.5:
        return one
    at = chance.randint(1, len(one.path))
    put = chance.choice(
        ("%00", "%2e%2e/", "../", "//", "?", "?by=%00", "%ff", "%", ";", "#", "?dryRun=maybe", "é", "%0d%0aX: y", "a" * 9000)
    )
    return replace(one, path=one.path[:at] + put + one.path[at:])


def _gzip(one: Sent, chance: Random) -> Sent:
    return (
        replace(one, body=gzip.compress(one.body, mtime=0), extra=(*one.extra, "Content-Encoding: gzip")) if chance.random() < 0.5 else one
    )
