"""Keys of devices and programs: what each may do, for which devices, until when. Secrets are kept as hashes only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from psycopg.rows import args_row

from db import audit
from db.engine import Conn

Binding = Literal["none", "device", "list", "site", "gateway"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key as people ask for it. `rights` are of write, read and admin; `binding` says for which devices it may write.

    `expires_at` None: never. `device`: exactly one id in the two lists; `list`: any; `site`: `site_id` and what belongs to it.
    """

    name: str
    rights: list[str]
    binding: Binding
    vehicle_ids: list[str] = field(default_factory=list)
    meter_ids: list[str] = field(default_factory=list)
    site_id: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Key(Wanted):
    """A key as it is kept, without its hashes, and how it fared. `previous_until`: until when the secret before the last rotation holds."""

    key_id: str = ""
    previous_until: datetime | None = None
    created_at: datetime | None = None
    created_by: str = ""
    rotated_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    refused: int = 0
    last_refused_at: datetime | None = None
    last_refused_code: str | None = None

    def ended(self, now: datetime) -> bool:
        """Whether it opens nothing any more."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now)


@dataclass(frozen=True, slots=True)
class Lock:
    """What the door needs to judge a key; `secret_hash` and `previous_hash` are SHA-256."""

    key_id: str
    rights: list[str]
    binding: Binding
    vehicle_ids: list[str]
    meter_ids: list[str]
    site_id: str | None
    secret_hash: bytes = field(repr=False)
    previous_hash: bytes | None = field(repr=False)
    previous_until: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Use:
    """What one process saw of a key since it last told: `refused` is a number more, the others are the newest."""

    last_used_at: datetime | None
    refused: int
    last_refused_at: datetime | None
    last_refused_code: str | None


_COLUMNS = "name, rights, binding, vehicle_ids, meter_ids, site_id, expires_at"
_SELECT = f"""
    SELECT {_COLUMNS}, k.key_id, previous_until, created_at, created_by, rotated_at, revoked_at,
           last_used_at, coalesce(refused, 0), last_refused_at, last_refused_code
    FROM device_key k LEFT JOIN device_key_use u ON u.key_id = k.key_id"""


def keys(conn: Conn, after: str = "", limit: int | None = None) -> list[Key]:
    """Keys ordered by id, revoked ones too: those after `after`, at most `limit`."""
    with conn.cursor(row_factory=args_row(Key)) as cursor:
        return cursor.execute(f"{_SELECT} WHERE k.key_id > %s ORDER BY k.key_id LIMIT %s".encode(), (after, limit)).fetchall()


def key(conn: Conn, key_id: str) -> Key | None:
    """One key; None where it never was."""
    with conn.cursor(row_factory=args_row(Key)) as cursor:
        return cursor.execute(f"{_SELECT} WHERE k.key_id = %s".encode(), (key_id,)).fetchone()


def create(conn: Conn, key_id: str, wanted: Wanted, secret_hash: bytes, by: str, now: datetime, note: str | None = None) -> None:
    """Keep a new key, and who made it."""
    conn.execute(
        f"""INSERT INTO device_key (key_id, {_COLUMNS}, secret_hash, created_at, created_by, version)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            key_id,
            wanted.name,
            wanted.rights,
            wanted.binding,
            wanted.vehicle_ids,
            wanted.meter_ids,
            wanted.site_id,
            wanted.expires_at,
            secret_hash,
            now,
            by,
            _next_version(conn),
        ),
    )
    audit.record(conn, now, by, "key created", _subject(key_id), after=told(wanted), note=note)


def rotate(conn: Conn, found: Key, secret_hash: bytes, previous_until: datetime, by: str, now: datetime, note: str | None = None) -> None:
    """Give a key another secret; the one it has holds until then too, one before that no more."""
    conn.execute(
        """UPDATE device_key SET previous_hash = secret_hash, previous_until = %s, secret_hash = %s, rotated_at = %s, version = %s
           WHERE key_id = %s""",
        (previous_until, secret_hash, now, _next_version(conn), found.key_id),
    )
    after = {"previousUntil": previous_until.isoformat()}
    audit.record(conn, now, by, "key rotated", _subject(found.key_id), before=told(found), after=after, note=note)


def revoke(conn: Conn, found: Key, by: str, now: datetime, note: str | None = None) -> None:
    """End a key for good."""
    conn.execute("UPDATE device_key SET revoked_at = %s, version = %s WHERE key_id = %s", (now, _next_version(conn), found.key_id))
    audit.record(conn, now, by, "key revoked", _subject(found.key_id), before=told(found), note=note)


def lock_key(conn: Conn, key_id: str) -> Key | None:
    """The key as it is, kept from others' changes until the transaction ends; None where it never was."""
    conn.execute("SELECT 1 FROM device_key WHERE key_id = %s FOR NO KEY UPDATE", (key_id,))
    return key(conn, key_id)


def _next_version(conn: Conn) -> int:
    """Makes every other change of a key wait for the end of this transaction."""
    row = conn.execute("UPDATE device_key_version SET version = version + 1 RETURNING version").fetchone()
    return int(str(row[0])) if row else 0


def _subject(key_id: str) -> str:
    return f"key {key_id}"


def told(wanted: Wanted) -> dict[str, object]:
    """What was asked for, as the record keeps it."""
    return {
        "name": wanted.name,
        "rights": wanted.rights,
        "binding": wanted.binding,
        "vehicleIds": wanted.vehicle_ids,
        "meterIds": wanted.meter_ids,
        "siteId": wanted.site_id,
        "expiresAt": wanted.expires_at and wanted.expires_at.isoformat(),
    }


def version(conn: Conn) -> int:
    """The number of the newest change of any key."""
    row = conn.execute("SELECT version FROM device_key_version").fetchone()
    return int(str(row[0])) if row else 0


def locks(conn: Conn, above: int) -> list[Lock]:
    """Every key that was changed since that version, revoked ones too."""
    with conn.cursor(row_factory=args_row(Lock)) as cursor:
        return cursor.execute(
            """SELECT key_id, rights, binding, vehicle_ids, meter_ids, site_id, secret_hash, previous_hash, previous_until, expires_at, revoked_at
               FROM device_key WHERE version > %s""",
            (above,),
        ).fetchall()


def members(conn: Conn, site_ids: Sequence[str]) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """The vehicles and the meters that belong to each of these sites, by its id."""
    vehicles, meters = _by_site(conn, "vehicle", site_ids), _by_site(conn, "meter", site_ids)
    return {site: (frozenset(vehicles.get(site, ())), frozenset(meters.get(site, ()))) for site in site_ids}


def _by_site(conn: Conn, table: str, site_ids: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for site, device in conn.execute(f"SELECT site_id, {table}_id FROM {table} WHERE site_id = ANY(%s)".encode(), (list(site_ids),)):
        found.setdefault(str(site), set()).add(str(device))
    return found


def add_uses(conn: Conn, uses: Mapping[str, Use]) -> None:
    """Add what a process saw of keys. In the order of their ids, so that processes do not block each other."""
    rows = [(one, uses[one]) for one in sorted(uses)]
    conn.execute(
        """INSERT INTO device_key_use AS u (key_id, last_used_at, refused, last_refused_at, last_refused_code)
           SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::bigint[], %s::timestamptz[], %s::text[])
           ON CONFLICT (key_id) DO UPDATE SET last_used_at = greatest(u.last_used_at, excluded.last_used_at),
               refused = u.refused + excluded.refused, last_refused_at = greatest(u.last_refused_at, excluded.last_refused_at),
               last_refused_code = coalesce(excluded.last_refused_code, u.last_refused_code)""",
        (
            [name for name, _ in rows],
            [use.last_used_at for _, use in rows],
            [use.refused for _, use in rows],
            [use.last_refused_at for _, use in rows],
            [use.last_refused_code for _, use in rows],
        ),
    )
