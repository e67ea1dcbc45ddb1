"""The plainest form of an HTTP request to one of the hot routes, told apart from everything else without reading from a socket.

What is not plain beyond doubt (another method or path, an unusual header, a length given twice, a large or chunked body) is not judged
here: gunicorn's own parser does that. So nothing is accepted here that it would refuse.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from api.body import Head
from api.intake import ROUTES

HEAD_BYTES = 4096  # a device's head has a few hundred; longer ones are not plain
BODY_BYTES = 65_536  # some 500 readings; larger bodies are worth a thread of their own

_POST = re.compile(rb"POST (/v1/telemetry/[a-z]+) HTTP/1\.1\Z")
_GET = re.compile(rb"GET /v1/analytics/performance/([A-Za-z0-9][A-Za-z0-9._:-]{0,63}) HTTP/1\.1\Z")
_HEADER = re.compile(rb"([A-Za-z0-9-]+): ?([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)\Z")
# They change what a request means in ways that are not for us to handle, or say that a browser sent it: see edge.same_site.
_NOT_PLAIN = frozenset(
    (b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te", b"http2-settings", b"origin", b"sec-fetch-site", b"cookie")
)
# Every browser sends it with all it asks, no device does: what a browser asks is held against our names (edge.hosts) before it is answered.
_BROWSERS = b"accept-language"
_ONCE = frozenset((b"host", b"content-length", b"content-type", b"content-encoding", b"connection", b"authorization", b"x-forwarded-for"))


class Cut(Enum):
    """Why there is no request to be taken out of a buffer: more bytes must come, or it is for gunicorn's parser."""

    PARTIAL = auto()
    NOT_PLAIN = auto()


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """`size` is how many bytes of the buffer it took. `vehicle_id`: whose 24 hours are asked for; None where readings are posted.

    `authorization`, `forwarded` and `request_id` are the headers Authorization, X-Forwarded-For and X-Request-Id, as sent.
    """

    route: str
    head: Head
    body: bytes
    size: int
    vehicle_id: str | None = None
    authorization: str = field(default="", repr=False)
    forwarded: str = ""
    request_id: str = ""


def cut(buffer: bytes | bytearray) -> PlainRequest | Cut:
    """The first request in the buffer. A head is waited for whatever it asks for, so that a slow one costs nobody a thread."""
    end = buffer.find(b"\r\n\r\n", 0, HEAD_BYTES)
    if end < 0:
        return Cut.PARTIAL if len(buffer) < HEAD_BYTES else Cut.NOT_PLAIN
    first, *lines = bytes(buffer[:end]).split(b"\r\n")
    headers = _headers(lines)
    if headers is None:
        return Cut.NOT_PLAIN
    if (asked := _GET.match(first)) and b"content-length" not in headers:
        return PlainRequest("", Head(""), b"", end + 4, asked[1].decode(), *_sender(headers))
    posted, head = _POST.match(first), _head(headers)
    if not posted or head is None or (route := posted[1].decode()) not in ROUTES:
        return Cut.NOT_PLAIN
    size = end + 4 + (head.length or 0)
    if len(buffer) < size:
        return Cut.PARTIAL
    return PlainRequest(route, head, bytes(buffer[end + 4 : size]), size, None, *_sender(headers))


def _headers(lines: list[bytes]) -> dict[bytes, bytes] | None:
    """Values by name in small letters; None where one is not plain."""
    headers: dict[bytes, bytes] = {}
    for line in lines:
        found = _HEADER.match(line)
        if not found:
            return None
        name = found[1].lower()
        if name in _NOT_PLAIN or name == _BROWSERS or (name in _ONCE and name in headers):
            return None
        headers[name] = found[2]
    stays_open = headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
    return headers if stays_open and b"host" in headers else None


def _head(headers: dict[bytes, bytes]) -> Head | None:
    """What they say about a body; None where its length is not plain."""
    length = headers.get(b"content-length", b"")
    if not length.isdigit() or len(length) > 6 or int(length) > BODY_BYTES:
        return None
    encoding = headers.get(b"content-encoding", b"").decode("latin-1").lower()
    return Head(headers.get(b"content-type", b"").decode("latin-1"), encoding, int(length))


def _sender(headers: dict[bytes, bytes]) -> tuple[str, str, str]:
    authorization, forwarded = headers.get(b"authorization", b""), headers.get(b"x-forwarded-for", b"")
    return authorization.decode("ascii"), forwarded.decode("ascii"), headers.get(b"x-request-id", b"").decode("ascii")
