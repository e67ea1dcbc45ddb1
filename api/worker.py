"""A gunicorn worker that answers plain requests to the hot routes from its event loop and leaves everything else to gunicorn's threads.

A thread per waiting device costs two hand-overs of the interpreter per request and makes the number of threads a limit on how many
devices may wait for one commit. Here a request is read, validated and queued by the loop, and answered by it when the committing thread
says so: one wake-up per commit. Requests that are not plain beyond doubt (see `api.plain_http`) are handed over with every byte read
so far. Sockets whose head or body trickles in wait in the loop and hold no thread.
"""

import contextlib
import gc
import selectors
import socket
import time
from collections import deque
from email.utils import formatdate
from functools import lru_cache, partial
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from api import malformed
from api.errors import Answer, new_request_id, problem_answer
from api.fast_lane import STATUS_LINES
from api.lanes import LANES, Lanes, Waiting
from api.plain_http import BODY_BYTES, HEAD_BYTES, Cut, PlainRequest, cut

ACCEPTS_A_TURN = 64  # new connections taken before those that wait get a turn
READ_BYTES = 65_536
SWEEP_EVERY_S = 0.5
REQUEST_WITHIN_S = 20.0  # from the first byte of a request to its last, and from a new connection to its first request
NEW_WITHIN_S = 2.0  # where no more connections can be taken: a device sends as soon as it is connected, who does not makes room
REST_S = 1.0  # a connection that was refused is not listened to meanwhile, so that refusing costs less than serving


class Line:
    """A connection in the loop's care. `waits` is what its request, begun at `begun`, waits for.

    `new_since` is when it came, 0 once it was answered (but for 401).
    """

    __slots__ = ("begun", "buffer", "conn", "deadline", "ended", "kind", "listening", "new_since", "rests_until", "waits")

    def __init__(self, conn: TConn, deadline: float) -> None:
        self.conn = conn
        self.buffer = bytearray()
        self.waits: Waiting | None = None
        self.begun = 0.0
        self.kind = ""
        self.deadline = deadline  # when an idle or half-sent request's connection is closed
        self.rests_until = 0.0
        self.new_since = 0.0
        self.listening = False
        self.ended = False  # the other side has said all it will


class TelemetryWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """See the module. Where the application has no lanes, or TLS is on, it is gunicorn's own threaded worker."""

    def load_wsgi(self) -> None:
        """Load the application and find its lanes."""
        super().load_wsgi()
        extensions = getattr(self.wsgi, "extensions", {})
        self._lanes: Lanes | None = None if self.cfg.is_ssl else extensions.get(LANES)
        self._lines: set[Line] = set()
        self._done: deque[tuple[Line, Waiting]] = deque()
        self._woken = False
        self._swept = 0.0
        # What the application consists of stays: a full collection would walk all of it, and every request would wait for that.
        gc.collect()
        gc.freeze()

    # ------------------------------------------------------------------------------------------------- connections

    def accept(self, listener: socket.socket) -> None:
        """Take what has come in, without a thread: most connections bring telemetry."""
        if self._lanes is None:
            super().accept(listener)
            return
        for _ in range(ACCEPTS_A_TURN):
            try:
                client, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.nr_conns += 1
            line = self._adopt(TConn(self.cfg, client, address, listener.getsockname()), REQUEST_WITHIN_S)
            line.new_since = time.monotonic()

    def _adopt(self, conn: TConn, for_s: float) -> Line:
        """Take a connection into the loop's care, for so long unless it says something."""
        conn.sock.setblocking(False)
        line = Line(conn, time.monotonic() + for_s)
        self._lines.add(line)
        self._listen(line)
        return line

    def _listen(self, line: Line) -> None:
        if not line.listening and not line.ended:
            line.listening = True
            self.poller.register(line.conn.sock, selectors.EVENT_READ, partial(self._readable, line))

    def _deafen(self, line: Line) -> None:
        if line.listening:
            line.listening = False
            self.poller.unregister(line.conn.sock)

    def _drop(self, line: Line) -> None:
        self._deafen(line)
        self._lines.discard(line)
        self.nr_conns -= 1
        line.conn.close()

    def _hand_over(self, line: Line) -> None:
        """Leave the request to a thread, with what was read of it; `finish_request` brings the connection back."""
        self._deafen(line)
        self._lines.discard(line)
        conn = line.conn
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
        conn.parser.unreader.unread(bytes(line.buffer))
        conn.data_ready = True
        self.enqueue_req(conn)

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """A thread is done with a connection: if it stays open, it is the loop's again."""
        mine = self._lanes is not None and not fs.cancelled() and fs.exception() is None and fs.result() is True
        if mine and not conn.is_http2 and not conn.parser.unreader.buf.getvalue():
            self._adopt(conn, self.cfg.keepalive)
        else:
            super().finish_request(conn, fs)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """gunicorn calls this with what it could not parse, or what an application raised."""
        problem = malformed.refusal(exc)
        if problem is None:
            super().handle_error(req, client, addr, exc)
            return
        self.log.warning("Invalid request: %s", type(exc).__name__)  # its words would repeat what was sent
        with contextlib.suppress(OSError):
            client.setblocking(False)
            client.send(_wire(problem_answer(problem, new_request_id()), last=True))

    # ------------------------------------------------------------------------------------------------- requests

    def _readable(self, line: Line, _socket: socket.socket) -> None:
        if not line.listening:
            return  # dropped or handed over earlier in this turn
        try:
            data = line.conn.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(line)
            return
        if not line.buffer:
            line.deadline = time.monotonic() + REQUEST_WITHIN_S
        line.buffer += data
        if line.waits is None:
            self._serve(line)
        elif len(line.buffer) > HEAD_BYTES + BODY_BYTES:
            self._deafen(line)  # it asks ahead of its answers: enough for now

    def _end(self, line: Line) -> None:
        """The other side will say no more; an answer it waits for is still sent."""
        if line.waits is None:
            self._drop(line)
        else:
            self._deafen(line)
            line.ended = True

    def _serve(self, line: Line) -> None:
        """Serve the requests in a line's buffer, until one has to wait."""
        while line.buffer and line.waits is None and line in self._lines and not line.rests_until:
            request = cut(line.buffer)
            if request is Cut.NOT_PLAIN:
                self._hand_over(line)
                return
            if request is Cut.PARTIAL:
                return
            assert isinstance(request, PlainRequest)
            del line.buffer[: request.size]
            self._begin(line, request)

    def _begin(self, line: Line, request: PlainRequest) -> None:
        assert self._lanes is not None
        line.begun, line.kind = time.monotonic(), self._lanes.kind(request)
        if refusal := self._lanes.refusal(request):
            self._send(line, refusal)
            self._rest(line)
            return
        begun = self._lanes.begin(request, _address(line.conn), partial(self._finished, line))
        if isinstance(begun, Answer):
            self._send(line, begun)
            if begun.status == 429 and self._lanes.own_sockets:
                self._rest(line)
        else:
            line.waits = begun

    def _rest(self, line: Line) -> None:
        """Not listen to it for a while; what it has sent already waits too."""
        if line in self._lines:
            self._deafen(line)
            line.rests_until = time.monotonic() + REST_S

    def _finished(self, line: Line, waiting: Waiting) -> None:
        """Called by a thread that works for many requests; the loop is woken once for all that are done."""
        self._done.append((line, waiting))
        if not self._woken:
            self._woken = True
            self.method_queue.defer(self._answer_done)

    def _answer_done(self) -> None:
        self._woken = False  # before looking: what is done from here on wakes us again
        while self._done:
            line, waiting = self._done.popleft()
            if line.waits is not waiting:
                continue  # it was told already that this takes too long
            line.waits = None
            self._send(line, waiting.finish())
            self._resume(line)

    def _resume(self, line: Line) -> None:
        if line in self._lines:
            self._listen(line)
            if line.buffer:
                self._serve(line)

    def _send(self, line: Line, made: Answer) -> None:
        """Send an answer whole. One that does not fit into the socket's buffer has nobody reading: the connection ends."""
        last = line.ended or not self.alive
        wire = _wire(made, last=last)
        try:
            sent = line.conn.sock.send(wire)
        except OSError:
            sent = 0
        now = time.monotonic()
        if made.status != 401:
            line.new_since = 0.0
        line.deadline = now + (REQUEST_WITHIN_S if line.new_since else self.cfg.keepalive)
        assert self._lanes is not None
        self._lanes.answered(line.kind, made.status, now - line.begun)
        if sent < len(wire) or last:
            self._drop(line)

    # ------------------------------------------------------------------------------------------------- time

    def murder_keepalived(self, force: bool = False) -> None:
        """gunicorn calls this after every turn of the loop: end what took too long."""
        super().murder_keepalived(force)
        now = time.monotonic()
        if self._lanes is None or (now - self._swept < SWEEP_EVERY_S and not force):
            return
        self._swept = now
        is_full = self.nr_conns >= self.worker_connections
        for line in list(self._lines):
            if force or (is_full and line.new_since and line.waits is None and now - line.new_since > NEW_WITHIN_S):
                self._drop(line)
            elif line.waits is not None:
                self._hurry(line, now)
            elif now > line.deadline:
                self._drop(line)
            elif line.rests_until and now > line.rests_until:
                line.rests_until = 0.0
                self._resume(line)

    def _hurry(self, line: Line, now: float) -> None:
        """Tell a client that waiting takes too long: nothing is confirmed."""
        assert self._lanes is not None
        assert line.waits is not None
        if now - line.begun > self._lanes.wait_s:
            waiting, line.waits = line.waits, None
            self._send(line, waiting.timed_out())
            self._resume(line)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker is stopping: idle connections stay only until the deadline."""
        super()._cap_keepalive(deadline)
        for line in self._lines:
            line.deadline = min(line.deadline, time.monotonic() + STOP_KEEPALIVE_LINGER)


def _address(conn: TConn) -> str:
    """Of the other side; empty on a Unix socket."""
    return str(conn.client[0]) if isinstance(conn.client, tuple) else ""


def _wire(made: Answer, *, last: bool) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in made.headers)
    close = "Connection: close\r\n" if last else ""
    return (
        f"HTTP/1.1 {STATUS_LINES[made.status]}\r\nDate: {_http_date(int(time.time()))}\r\n{head}Content-Length: {len(made.body)}\r\n{close}\r\n".encode()
        + made.body
    )


@lru_cache(maxsize=2)
def _http_date(at_s: int) -> str:
    return formatdate(at_s, usegmt=True)
