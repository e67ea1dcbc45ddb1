"""HTTP/1.1 over one kept-open socket, as cheap as a device's: thousands of them fit into one process."""

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit


class Broken(Exception):
    """No answer came. `sent` says whether the request had left, `late` whether the time was over."""

    def __init__(self, why: str, *, sent: bool, late: bool = False) -> None:
        super().__init__(why)
        self.sent, self.late = sent, late


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is."""

    host: str
    port: int
    prefix: str
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> "Place":
        """Raises ValueError where it is no http:// or https:// address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http:// or https:// address: {url}")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        return cls(parts.hostname, parts.port or (443 if tls else 80), parts.path.rstrip("/"), tls)


class Line(asyncio.Protocol):
    """One connection, one request at a time; connects anew when the last one ended."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes, within_s: float) -> Answer:
        """The answer to a whole request. Raises Broken."""
        sent = False
        try:
            async with asyncio.timeout(within_s):
                if self._transport is None:
                    await asyncio.get_running_loop().create_connection(
                        lambda: self, self._place.host, self._place.port, ssl=self._place.tls
                    )
                assert self._transport is not None
                self._answer = asyncio.get_running_loop().create_future()
                sent = True
                self._transport.write(request)
                return await self._answer
        except TimeoutError:
            self.close()
            raise Broken("no answer", sent=sent, late=True) from None
        except OSError as error:
            self.close()
            raise Broken(type(error).__name__, sent=sent) from None

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._answer = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport, self._buffer = transport, b""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed without an answer"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        whole = end + 4 + int(headers.get("content-length", "0"))
        if len(self._buffer) < whole:
            return
        body, self._buffer = self._buffer[end + 4 : whole], b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(int(first.split()[1]), headers, body))
