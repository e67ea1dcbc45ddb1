"""The keys as this process knows them: all of them in memory, read anew where something changed, so that no guess costs a query."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import structlog

from api.keys.bucket import Bucket
from api.keys.secret import presented, same
from db import device_keys
from db.device_keys import Lock, Use
from db.engine import Conn

log = structlog.get_logger()

LOOK_EVERY_S = 1.0  # a look is one row where nothing changed
MEMBERS_EVERY_S = 4.0  # what belongs to a site changes with any description: read by time, only where keys are bound to sites
HOLDS_S = 5.0  # what was read earlier than this is not trusted any more: a revoked key may be in it
TELL_EVERY_S = 60.0

Devices = frozenset[str] | None  # None: any


@dataclass(frozen=True, slots=True)
class Pace:
    """Readings a minute and at once, for each device that a key is bound to; `gateway_per_min` 0: no limit."""

    per_min: float = 30.0
    burst: float = 60.0
    gateway_per_min: float = 0.0

    def of(self, binding: str, devices: int) -> tuple[float, float] | None:
        """Readings a second and at once for a key; None where it has no limit."""
        if binding == "gateway":
            return (self.gateway_per_min / 60, self.gateway_per_min * self.burst / self.per_min) if self.gateway_per_min else None
        return self.per_min / 60 * max(1, devices), self.burst * max(1, devices)


@dataclass(slots=True, eq=False)
class Account:
    """What this process saw of a key; stays the same while the key is read anew. `bucket` None: no limit. Times are seconds since 1970.

    `told` is what of `used_s` and `refused` others know already.
    """

    bucket: Bucket | None = None
    used_s: float = 0.0
    refused: int = 0
    refused_s: float = 0.0
    last_code: str = ""
    told: tuple[float, int] = (0.0, 0)

    def refuse(self, code: str, now_s: float) -> None:
        """Somebody came with this key and was not let in, or not with all he brought."""
        self.refused += 1
        self.refused_s, self.last_code = now_s, code

    def untold(self) -> tuple[tuple[float, int], Use] | None:
        """What `told` will be, and what is to be told for it; None where nothing is."""
        now, more = (self.used_s, self.refused), self.refused - self.told[1]
        if now == self.told:
            return None
        used = datetime.fromtimestamp(self.used_s, UTC) if self.used_s else None
        at = datetime.fromtimestamp(self.refused_s, UTC) if more else None
        return now, Use(used, more, at, self.last_code if more else None)

    def paced(self, limit: tuple[float, float] | None) -> "Account":
        """The limit as it is now."""
        if limit is None:
            self.bucket = None
        elif self.bucket is None:
            self.bucket = Bucket(*limit)
        else:
            self.bucket.resize(*limit)
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A key at the door. `vehicles` and `meters` are what it may write; it opens until `ends_s`, its other secret until `previous_ends_s`."""

    key_id: str
    rights: frozenset[str]
    vehicles: Devices
    meters: Devices
    account: Account
    secret_hash: bytes = field(repr=False)
    previous_hash: bytes = field(repr=False)
    previous_ends_s: float
    ends_s: float
    revoked: bool = False


_NO_HASH = bytes(32)  # nothing that anybody can present hashes to this


class Ring:
    """See the module. `connect` opens a connection of its own, so that no load can keep it from looking; `clock` gives seconds since 1970."""

    def __init__(self, connect: Callable[[], Conn], pace: Pace | None = None, clock: Callable[[], float] = time.time) -> None:
        self._connect, self._pace, self._clock = connect, pace or Pace(), clock
        self._conn: Conn | None = None
        self._locks: dict[str, Lock] = {}
        self._keys: dict[str, Known] = {}
        self._accounts: dict[str, Account] = {}
        self._members: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._version = -1
        self._members_at_s = self._read_at_s = self._told_at_s = -math.inf
        self._nobody = Known("", frozenset(), None, None, Account(), _NO_HASH, _NO_HASH, -math.inf, -math.inf)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)

    def start(self) -> "Ring":
        """Look now and every second from now on."""
        self._thread.start()
        return self

    def close(self, wait_s: float = 5.0) -> None:
        """Tell what was seen, and look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(wait_s)

    def fresh(self, now_s: float) -> bool:
        """Whether what is known is new enough to be trusted; `now_s` is monotonic."""
        return now_s - self._read_at_s <= HOLDS_S

    def find(self, authorization: str) -> Known | None:
        """The key of an Authorization header; None for every wrong one, after the same work whatever is wrong with it."""
        key_id, hashed = presented(authorization)
        known = self._keys.get(key_id, self._nobody)
        now_s = self._clock()
        fits, fitted = same(hashed, known.secret_hash), same(hashed, known.previous_hash)
        if (fits or (fitted and now_s < known.previous_ends_s)) and now_s < known.ends_s:
            return known
        known.account.refuse("revoked" if known.revoked else "wrong_secret" if not (fits or fitted) else "expired", now_s)
        return None

    # ------------------------------------------------------------------------------------------------- reading

    def _run(self) -> None:
        while True:
            self.look()
            if self._stop.wait(LOOK_EVERY_S):
                break
        self.tell()
        self._drop()

    def look(self) -> bool:
        """Read what changed, and tell what was seen when it is time; whether that could be done."""
        began_s = time.monotonic()
        try:
            self._read(self._connection(), began_s)
        except psycopg.Error as error:
            log.warning("keys_not_read", error=type(error).__name__, sqlstate=error.sqlstate)
            self._drop()
            return False
        self._read_at_s = began_s
        if began_s - self._told_at_s >= TELL_EVERY_S:
            self._told_at_s = began_s
            self.tell()
        return True

    def _connection(self) -> Conn:
        if self._conn is None:
            self._conn = self._connect()
            self._conn.autocommit = True
        return self._conn

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _read(self, conn: Conn, now_s: float) -> None:
        version = device_keys.version(conn)
        anew = version < self._version  # another database, or a backup
        if anew:
            self._locks, self._version = {}, -1
        changed = device_keys.locks(conn, self._version) if version != self._version else []
        self._locks |= {lock.key_id: lock for lock in changed}
        sites = {lock.site_id for lock in self._locks.values() if lock.site_id and lock.revoked_at is None}
        if sites and (changed or now_s - self._members_at_s >= MEMBERS_EVERY_S):
            self._members, self._members_at_s = device_keys.members(conn, sorted(sites)), now_s
            changed = [*changed, *(lock for lock in self._locks.values() if lock.site_id)]
        if changed or anew:
            self._keys = ({} if anew else self._keys) | {lock.key_id: self._known(lock) for lock in changed}
        self._version = version

    def _known(self, lock: Lock) -> Known:
        vehicles, meters = self._bound(lock)
        account = self._accounts.setdefault(lock.key_id, Account())
        account.paced(self._pace.of(lock.binding, len(vehicles or ()) + len(meters or ())))
        ends_s = lock.expires_at.timestamp() if lock.expires_at else math.inf
        return Known(
            lock.key_id,
            frozenset(lock.rights),
            vehicles,
            meters,
            account,
            lock.secret_hash,
            lock.previous_hash or _NO_HASH,
            lock.previous_until.timestamp() if lock.previous_until else -math.inf,
            -math.inf if lock.revoked_at else ends_s,
            lock.revoked_at is not None,
        )

    def _bound(self, lock: Lock) -> tuple[Devices, Devices]:
        if lock.binding == "gateway":
            return None, None
        if lock.site_id:
            return self._members.get(lock.site_id, (frozenset(), frozenset()))
        return frozenset(lock.vehicle_ids), frozenset(lock.meter_ids)

    # ------------------------------------------------------------------------------------------------- telling

    def tell(self) -> bool:
        """Write what was seen of each key since the last time; whether that could be done. What could not be written waits."""
        seen = {one: untold for one, account in list(self._accounts.items()) if (untold := account.untold())}
        if not seen:
            return True
        try:
            device_keys.add_uses(self._connection(), {one: use for one, (_, use) in seen.items()})
        except psycopg.Error as error:
            log.warning("key_use_not_written", error=type(error).__name__)
            self._drop()
            return False
        for one, (told, _) in seen.items():
            self._accounts[one].told = told
        return True
