"""Takes notices out of the outbox and to their channels: at least once, in order, each channel at its own pace.

    claim (commit) → send → mark (commit)

Killed before the claim or between claim and sending: the notice is sent when the claim has run out. Killed between sending and marking: it is
sent once more, with the same idempotency key. No transaction is open while a notice is under way.
"""

import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Self

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from alerting import addresses, digest
from alerting.mail import Mail
from alerting.others import Others
from alerting.sending import NotDelivered, Outgoing, Sender
from alerting.webhook import Webhook
from db import outbox
from db.engine import Conn
from db.outbox import Claimed

log = structlog.get_logger()

Connect = Callable[[], AbstractContextManager[Conn]]  # a connection in a transaction that commits at the end, as of a pool

LEASE = timedelta(
    minutes=2
)  # longer than any way out takes (a mail server's steps of 10 s each), so that nobody else takes up what is under way
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 3600.0  # between tries: doubled each time, from soon enough to about hourly
TRIED_FOR = timedelta(hours=24)
MARK_AGAIN_AFTER_S = (0.2, 1.0, 3.0, 10.0)  # as long as a database takes to start again
ONCE = ("test",)  # whoever presses the button wants to know now
AT_ONCE = 8  # channels served side by side; a slow one keeps one of them for seconds
MOST_IN_A_ROW = 50  # notices of a channel before the others have their turn
LOOK_EVERY_S = 1.0  # a notice and the test button are waited for by people; looking costs one query on a small index
REST = timedelta(seconds=FIRST_PAUSE_S)  # of a channel after a failure, so that a long queue does not run against a wall at full speed


def senders(outgoing: Outgoing) -> dict[str, Sender]:
    """The way out of each kind of channel. Make it once."""
    return {"webhook": Webhook(outgoing), "email": Mail(outgoing), "apprise": Others(outgoing)}


def pause(tries: int, chance: float) -> timedelta:
    """How long to wait after this many tries: 15 s, 30 s … 1 h, each longer or shorter by up to a fifth; `chance` is in [0, 1)."""
    doubled = min(FIRST_PAUSE_S * 2 ** min(tries - 1, 20), LONGEST_PAUSE_S)
    return timedelta(seconds=min(doubled * (0.8 + 0.4 * chance), LONGEST_PAUSE_S))


def deliver_once(
    connect: Connect,
    now: Callable[[], datetime],
    ways: Mapping[str, Sender],
    chance: Callable[[], float] = random.random,
    except_for: Collection[int] = (),
) -> int:
    """Try everything that is due, channel after channel; how many were sent. Raises psycopg errors where the database is away."""
    with connect() as conn:
        outbox.give_up_switched_off(conn, now())
        due = outbox.due_channels(conn, now(), except_for)
    return sum(deliver_channel(connect, now, ways, channel_id, chance)[0] for channel_id in due)


def deliver_channel(
    connect: Connect,
    now: Callable[[], datetime],
    ways: Mapping[str, Sender],
    channel_id: int,
    chance: Callable[[], float] = random.random,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[int, bool]:
    """Try what is due for one channel until something fails or it is `stopped`; how many were sent, and whether nothing failed."""
    for sent in range(MOST_IN_A_ROW):
        if stopped():
            return sent, True
        with connect() as conn:
            notice = outbox.claim(conn, channel_id, now(), LEASE)
        if notice is None:
            return sent, True
        error = _try(ways, notice, now())
        _mark_surely(connect, notice, error, now(), chance())
        if error is not None and notice.kind not in ONCE:
            return sent, False
    return MOST_IN_A_ROW, True


def _try(ways: Mapping[str, Sender], notice: Claimed, now: datetime) -> str | None:
    """What went wrong; None where it was sent."""
    try:
        ways[notice.channel_kind](notice, now)
    except NotDelivered as error:
        return str(error) or "not delivered"
    except Exception as error:  # noqa: BLE001 -- one notice that cannot be sent must not stop all others
        log.error(  # noqa: TRY400 -- its text may hold the address
            "sending a notice failed unexpectedly", notice_id=notice.notice_id, channel_id=notice.channel_id, error=type(error).__name__
        )
        return f"it could not be sent ({type(error).__name__})"
    return None


def _mark_surely(connect: Connect, notice: Claimed, error: str | None, now: datetime, chance: float) -> None:
    """Also when the database is away for a moment just now: what is not marked is sent twice. Raises what it raised in the end."""
    for wait_s in MARK_AGAIN_AFTER_S:
        try:
            with connect() as conn:
                return _mark(conn, notice, error, now, chance)
        except (psycopg.OperationalError, PoolTimeout):
            time.sleep(wait_s)
    with connect() as conn:
        return _mark(conn, notice, error, now, chance)


def _mark(conn: Conn, notice: Claimed, error: str | None, now: datetime, chance: float) -> None:
    facts = {
        "notice_id": notice.notice_id,
        "kind": notice.kind,
        "channel_id": notice.channel_id,
        "to": addresses.shown(notice.channel_kind, notice.address),  # type: ignore[arg-type]  # the schema knows no other kind
        "tries": notice.tries,
    }
    last = notice.created_at + TRIED_FOR
    if error is None:
        outbox.done(conn, notice.notice_id, now)
        log.info("notice sent", **facts)
    elif notice.kind in ONCE or now >= last:
        outbox.give_up(conn, notice.notice_id, error, now)
        log.error("notice given up", **facts, error=error)
    else:
        outbox.failed(conn, notice.notice_id, error, min(now + pause(notice.tries, chance), last))
        log.warning("notice failed, it is tried again", **facts, error=error)


class Deliverer:
    """Delivers as long as it lives: a thread that looks for what is due, and one for each channel that is being served."""

    def __init__(self, connect: Connect, now: Callable[[], datetime], outgoing: Outgoing, ways: Mapping[str, Sender] | None = None) -> None:
        self._connect, self._now = connect, now
        self._ways = ways or senders(outgoing)
        self._busy: set[int] = set()
        self._rests: dict[int, datetime] = {}
        self._guard, self._stop = threading.Lock(), threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deliver")
        self._thread = threading.Thread(target=self._run, name="deliverer", daemon=True)

    def start(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def close(self, wait_s: float = 10.0) -> None:
        """Take on nothing more, and wait for what is under way. What is not marked by then is sent again by the next one."""
        self._stop.set()
        until = time.monotonic() + wait_s
        if self._thread.ident is not None:  # it was started
            self._thread.join(wait_s)
        self._pool.shutdown(wait=False, cancel_futures=True)
        while self._busy and time.monotonic() < until:
            time.sleep(0.02)

    def _run(self) -> None:
        pause_s = LOOK_EVERY_S
        while not self._stop.wait(pause_s):
            try:
                self.look()
                pause_s = LOOK_EVERY_S
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("the outbox cannot be read", error=type(error).__name__)
                pause_s = min(pause_s * 2, FIRST_PAUSE_S)
            except Exception:
                log.exception("looking for notices failed")
                pause_s = min(pause_s * 2, FIRST_PAUSE_S)

    def look(self) -> None:
        """Write the digests that are due, and hand each channel that has something to send to a thread, unless it has one or rests."""
        now = self._now()
        self._write_digests(now)
        with self._connect() as conn:
            outbox.give_up_switched_off(conn, now)
            due = outbox.due_channels(conn, now, self._not_now(now))
        for channel_id in due:
            with self._guard:
                if len(self._busy) >= AT_ONCE:
                    return
                self._busy.add(channel_id)
            self._pool.submit(self._serve, channel_id)

    def _write_digests(self, now: datetime) -> None:
        """In a transaction of its own: a digest that cannot be written holds up no notice."""
        try:
            with self._connect() as conn:
                digest.write_due(conn, now)
        except (psycopg.OperationalError, PoolTimeout):
            raise
        except Exception:  # said here, and tried again with the next look
            log.exception("a digest could not be written")

    def _not_now(self, now: datetime) -> list[int]:
        with self._guard:
            # by a clock that may be set back: nobody rests longer than once
            self._rests = {channel_id: until for channel_id, until in self._rests.items() if now < until <= now + REST}
            return [*self._busy, *self._rests]

    def _serve(self, channel_id: int) -> None:
        fine = False
        try:
            _, fine = deliver_channel(self._connect, self._now, self._ways, channel_id, stopped=self._stop.is_set)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("the outbox cannot be used", channel_id=channel_id, error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 -- said here, because nobody asks the future
            # without its trace, which may be printed with everything that was at hand
            log.error("delivering failed", channel_id=channel_id, error=type(error).__name__)  # noqa: TRY400
        finally:
            with self._guard:
                self._busy.discard(channel_id)
                if not fine:
                    self._rests[channel_id] = self._now() + REST
