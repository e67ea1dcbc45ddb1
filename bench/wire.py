"""The least HTTP client that tells the truth: one keep-alive socket, bytes made beforehand, so that the driver costs next to nothing."""

import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self

_TIMEOUT_S = 30.0


def request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def complete(data: bytes | bytearray) -> int | None:
    """Length of the answer that `data` begins with, or None while some of it is missing. Every answer of ours with a body has a Content-Length."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(data[:end]).lower()
    if status(data) == 304:
        return end + 4
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError(f"an answer without Content-Length: {head[:200]!r}")
    total = end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])
    return total if len(data) >= total else None


def status(answer: bytes | bytearray) -> int:
    """The status code of an answer."""
    return int(answer[9:12])


def content(answer: bytes | bytearray) -> bytes:
    """The body of an answer."""
    return bytes(answer[answer.find(b"\r\n\r\n") + 4 :])


class Connection:
    """One socket on which requests and answers take turns."""

    def __init__(self, endpoint: tuple[str, int]) -> None:
        self._socket = socket.create_connection(endpoint, timeout=_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def exchange(self, sent: bytes) -> bytearray:
        """The whole answer to these bytes. Raises OSError when the server closes instead."""
        self._socket.sendall(sent)
        answer = bytearray()
        while complete(answer) is None:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionResetError("closed without an answer")
            answer += received
        return answer
