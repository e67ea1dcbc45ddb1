"""The plainest form of an HTTP request to a telemetry route, told apart from everything else without reading from a socket.

What is not plain beyond doubt (another method or path, an unusual header, a length given twice, a large or chunked body) is not judged
here: gunicorn's own parser does that. So nothing is accepted here that it would refuse.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from api.body import Head
from api.intake import ROUTES

HEAD_BYTES = 4096  # a device's head has a few hundred; longer ones are not plain
BODY_BYTES = 65_536  # some 500 readings; larger bodies are worth a thread of their own

_REQUEST_LINE = re.compile(rb"POST (/v1/telemetry/[a-z]+) HTTP/1\.1\Z")
_HEADER = re.compile(rb"([A-Za-z0-9-]+): ?([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)\Z")
# They change what a request means in ways that are not for us to handle.
_NOT_PLAIN = frozenset((b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te", b"http2-settings"))
_ONCE = frozenset((b"host", b"content-length", b"content-type", b"content-encoding", b"connection"))


class Cut(Enum):
    """Why there is no request to be taken out of a buffer: more bytes must come, or it is for gunicorn's parser."""

    PARTIAL = auto()
    NOT_PLAIN = auto()


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """`size` is how many bytes of the buffer it took."""

    route: str
    head: Head
    body: bytes
    size: int


def cut(buffer: bytes | bytearray) -> PlainRequest | Cut:
    """The first request in the buffer. A head is waited for whatever it asks for, so that a slow one costs nobody a thread."""
    end = buffer.find(b"\r\n\r\n", 0, HEAD_BYTES)
    if end < 0:
        return Cut.PARTIAL if len(buffer) < HEAD_BYTES else Cut.NOT_PLAIN
    found = _parsed(bytes(buffer[:end]))
    if found is None:
        return Cut.NOT_PLAIN
    route, head = found
    size = end + 4 + (head.length or 0)
    if len(buffer) < size:
        return Cut.PARTIAL
    return PlainRequest(route, head, bytes(buffer[end + 4 : size]), size)


def _parsed(raw: bytes) -> tuple[str, Head] | None:
    """Route and head of a plain request; None where it is not plain."""
    first, *lines = raw.split(b"\r\n")
    line = _REQUEST_LINE.match(first)
    if not line or (route := line[1].decode()) not in ROUTES:
        return None
    headers: dict[bytes, bytes] = {}
    for header in lines:
        found = _HEADER.match(header)
        if not found:
            return None
        name = found[1].lower()
        if name in _NOT_PLAIN or (name in _ONCE and name in headers):
            return None
        headers[name] = found[2]
    head = _head(headers)
    return (route, head) if head else None


def _head(headers: dict[bytes, bytes]) -> Head | None:
    length = headers.get(b"content-length", b"")
    if b"host" not in headers or not length.isdigit() or len(length) > 6 or int(length) > BODY_BYTES:
        return None
    if headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    encoding = headers.get(b"content-encoding", b"").decode("latin-1").lower()
    return Head(headers.get(b"content-type", b"").decode("latin-1"), encoding, int(length))
