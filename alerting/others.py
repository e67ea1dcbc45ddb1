"""Notices through Apprise: chat, push and SMS services that people already use.

The library connects by itself, so it is watched: while it sends, a connection to a private address, a program or the system's log is refused
by the interpreter, whatever a name resolves to by then and wherever a redirect leads.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from alerting import addresses, guard, words
from alerting.sending import NotDelivered, Outgoing
from db.outbox import Claimed

TIMEOUT_S = 30.0  # for one notice: some services take several calls; an address may ask for more patience than others can wait
_LOG = "apprise"
_NEVER = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "syslog.openlog", "syslog.syslog")


class Others:
    """Sends by the service that the channel's address names. Make one and keep it: its watch stays for the life of the process."""

    def __init__(self, outgoing: Outgoing, resolver: guard.Resolver = guard.resolve) -> None:
        self._outgoing, self._resolver = outgoing, resolver
        self._watch, self._ear = _Watch(), _Ear()

    def __call__(self, notice: Claimed, now: datetime) -> None:  # noqa: ARG002 - every sender is handed the time
        """Raises NotDelivered."""
        fault = addresses.faulty("apprise", notice.address)
        if fault:
            raise NotDelivered(fault)
        self._check(notice.address)
        link = self._outgoing.link(notice)
        title, text = (words.without_markup(one) for one in (words.subject(notice.body), words.text(notice.body)))
        with self._ear.open() as said, self._watch.over(on=not self._outgoing.to_private) as refused:
            sent = _notify(notice.address, title, f"{text}\n{link}" if link else text)
        if refused:
            raise NotDelivered("it leads to a private address; VOLTLEDGER_NOTICES_TO_PRIVATE=1 allows notices to go there")
        if not sent:
            reason = words.line("; ".join(said)) or "the service did not take it"
            raise NotDelivered(addresses.redacted(reason, notice.address))

    def _check(self, address: str) -> None:
        place = addresses.host_and_port("apprise", address)
        if place is None:
            return
        try:
            guard.allowed(*place, to_private=self._outgoing.to_private, resolver=self._resolver)
        except (guard.Refused, guard.Unknown) as error:
            raise NotDelivered(str(error)) from None


def _notify(address: str, title: str, text: str) -> bool:
    import apprise  # noqa: PLC0415 -- loads a module for each of its services, which only those who use it shall wait for

    # one after the other, as there is only one
    library = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False, service_timeout=TIMEOUT_S))
    if not library.add(address):
        raise NotDelivered("Apprise does not understand the channel's address")
    try:
        return bool(library.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT))
    except Exception as error:  # noqa: BLE001 -- a hundred services, each by another author
        raise NotDelivered(f"the service failed: {type(error).__name__}") from None


class _Watch:
    """An audit hook that refuses what notices may not do, while they are sent: in that context, which the library hands on to the threads
    it sends in. The interpreter never lets go of a hook.
    """

    def __init__(self) -> None:
        self._refused: ContextVar[list[str] | None] = ContextVar("refused", default=None)
        sys.addaudithook(self._audit)

    @contextmanager
    def over(self, *, on: bool) -> Iterator[list[str]]:
        """Watches what is done until the end; what was refused is in the list."""
        refused: list[str] = []
        token = self._refused.set(refused if on else None)
        try:
            yield refused
        finally:
            self._refused.reset(token)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event != "socket.connect" and event not in _NEVER:
            return
        refused = self._refused.get()
        if refused is None:
            return
        if event == "socket.connect" and isinstance(args[1], tuple) and guard.is_public(str(args[1][0])):
            return
        refused.append(event)
        raise PermissionError("notices may not go there")


class _Ear(logging.Handler):
    """Hears what the library says as a warning while one notice is sent: the only place where it says why."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)
        log = logging.getLogger(_LOG)
        log.propagate = False  # it goes no further: it may hold a token
        log.addHandler(self)
        for name in (_LOG, "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)  # below it whole addresses are told

    @contextmanager
    def open(self) -> Iterator[list[str]]:
        """What is said until the end is in the list."""
        heard: list[str] = []
        token = self._heard.set(heard)
        try:
            yield heard
        finally:
            self._heard.reset(token)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps it, where somebody listens."""
        heard = self._heard.get()
        if heard is not None:
            heard.append(record.getMessage())
