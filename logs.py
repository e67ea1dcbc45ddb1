"""How every process of ours logs: one event a line, bounded however often it happens, without secrets. `config` decides about the format.

Events of structlog and records of the standard library (PostgreSQL's pool, the process tree, gunicorn's workers) leave by the same way.
"""

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Hashable, MutableMapping
from typing import Any, Literal

import structlog

Format = Literal["auto", "json", "text"]
Event = MutableMapping[str, Any]

# So many lines a minute of one event and error tell all there is to tell; an outage must not fill the disk with the others.
MOST_A_MINUTE = 20
_MINUTE_S = 60.0
_OURS = ("dashboard", "db")  # rooms that log by the standard library
_MOST_KINDS = 1_000  # kept apart; more can only be a mistake, like an event with an id in its name
_GONE = "[redacted]"
_SECRET_NAMES = re.compile(r"passw|secret|token|cookie|authorization|dsn|database_url|api_?key", re.IGNORECASE)
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\w://[^\s:/@]*):[^\s@]+@"), rf"\1:{_GONE}@"),  # the password in an address
    (re.compile(r"(?i)\b(\w*passw\w*|secret|token)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&]+)"), rf"\1\2{_GONE}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {_GONE}"),
    (re.compile(r"\b([0-9a-f]{12})\.[\w-]{43}"), rf"\1.{_GONE}"),  # a key of ours: its id is no secret
    (re.compile(r"(?i)\b((?:set-)?cookie)(\s*[:=]\s*)[^\r\n]+"), rf"\1\2{_GONE}"),
    (re.compile(r"(__Host-[\w-]+|\bsession)=[^\s;,]+"), rf"\1={_GONE}"),
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def start(how: Format) -> None:
    """From now on this process logs like that, on standard output: `auto` is text on a terminal and JSON elsewhere.

    Never the local variables of a traceback, which may hold secrets.
    """
    text = how == "text" or (how == "auto" and sys.stdout.isatty())
    common: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    last = _for_people() if text else _for_programs()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, Seldom(), *common, *last])
    _start_standard_library([structlog.contextvars.merge_contextvars, _withheld, *common], last)


def _for_people() -> list[Any]:
    lines = structlog.dev.ConsoleRenderer(
        exception_formatter=structlog.dev.plain_traceback, colors=sys.stdout.isatty(), sort_keys=False, pad_event_to=0
    )
    return [structlog.processors.format_exc_info, redacted, on_one_line, lines]


def _for_programs() -> list[Any]:
    return [structlog.processors.format_exc_info, redacted, structlog.processors.JSONRenderer(default=str)]


def _start_standard_library(first: list[Any], last: list[Any]) -> None:
    handler, root = _Lines(), logging.getLogger()
    handler.addFilter(_SeldomRecords(Seldom()))
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=processors, foreign_pre_chain=first))
    for earlier in [one for one in root.handlers if isinstance(one, _Lines)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)  # below it libraries tell whole addresses
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    for name in ("gunicorn.error", "gunicorn.access"):  # in a worker; gunicorn's parent writes its few lines itself
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


class _Lines(logging.StreamHandler):  # type: ignore[type-arg]  # the class takes no argument on Python 3.11
    """Writes to what is the standard output now."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stdout


class Seldom:
    """structlog: lets MOST_A_MINUTE lines a minute of each event and error through; the next one says how many were `withheld`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._seen: dict[Hashable, tuple[float, int]] = {}  # since when, how many

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        """Raises structlog.DropEvent."""
        kind = (event.get("event"), event.get("error"), event.get("sqlstate"))
        before = self.withheld(kind)
        if before is None:
            raise structlog.DropEvent
        if before:
            event["withheld"] = before
        return event

    def withheld(self, kind: Hashable) -> int | None:
        """How many of this kind were withheld before this one; None where this one is too."""
        now = self._clock()
        with self._lock:
            if len(self._seen) >= _MOST_KINDS:
                self._seen.clear()
            since, count = self._seen.get(kind, (now, 0))
            ended = now - since >= _MINUTE_S
            self._seen[kind] = (now, 1) if ended else (since, count + 1)
        if ended:
            return max(0, count - MOST_A_MINUTE)
        return 0 if count < MOST_A_MINUTE else None


class _SeldomRecords(logging.Filter):
    """The same for records of the standard library, by logger and template."""

    def __init__(self, seldom: Seldom) -> None:
        super().__init__()
        self._seldom = seldom

    def filter(self, record: logging.LogRecord) -> bool:
        before = self._seldom.withheld((record.name, str(record.msg)))
        record.withheld = before
        return before is not None


def _withheld(_logger: object, _method: str, event: Event) -> Event:
    record = event["_record"]
    event["logger"] = record.name
    if getattr(record, "withheld", 0):
        event["withheld"] = record.withheld
    return event


def redacted(_logger: object, _method: str, event: Event) -> Event:
    """structlog: without what is secret by its name or by its look."""
    return {name: _GONE if _SECRET_NAMES.search(name) else _clean(value) for name, value in event.items()}


def on_one_line(_logger: object, _method: str, event: Event) -> Event:
    """structlog: no value begins a line or colours it, but a traceback."""
    return {name: _visible(value) if name != "exception" else value for name, value in event.items()}


def without_secrets(text: str) -> str:
    """The text without what looks like one."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return redacted(None, "", value)
    if isinstance(value, (list, tuple)):
        return [_clean(one) for one in value]
    return value if value is None or isinstance(value, (int, float)) else without_secrets(str(value))


def _visible(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _CONTROL.sub(lambda sign: sign[0].encode("unicode_escape").decode(), value)
