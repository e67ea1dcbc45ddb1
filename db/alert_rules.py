"""What people set of the rules: for all, a site or one device, read as a whole and changed one at a time, with who, when and why.

What low efficiency means to a site or a vehicle stands in its own row, where the admin page and its files change it too; whether the rule is
wanted, and everything else, stands in alert_setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from charging.alert_settings import SETTINGS, Rule, checked
from db import alert_actions, expectation_version, sites
from db.engine import Conn

_LOCK = 4_096_115_012  # one change at a time, so that the record says what was there before
_DEVICE_RULES = ("all", "site", "vehicle")
# For whom each rule can be set. A dark site is never a device's matter.
SCOPES_OF: Mapping[Rule, tuple[str, ...]] = {
    "low_efficiency": _DEVICE_RULES,
    "suspect_measurement": _DEVICE_RULES,
    "device_silent": ("all", "site", "vehicle", "meter"),
    "battery_hot": _DEVICE_RULES,
    "site_dark": ("all", "site"),
}
CHANGED, CLEARED = "rule_changed", "rule_cleared"
# By what a vehicle is judged everywhere, not by alerts alone.
_JUDGING = {"use": "thresholds", "plainLow": "plain_low", "plainCritical": "plain_critical"}


class Scope(NamedTuple):
    """For whom a setting holds: all (id ""), a site, a vehicle or a meter."""

    kind: str
    id: str


ALL = Scope("all", "")


class UnknownScope(LookupError):
    """Nobody has heard of this site, vehicle or meter."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is set of a rule for a scope; by whom and when it was last changed, None where that was elsewhere, like the admin page."""

    rule: Rule
    scope: Scope
    settings: dict[str, Any]
    name: str | None = None
    changed_at: datetime | None = None
    changed_by: str | None = None
    note: str | None = None


def settings(conn: Conn) -> list[Setting]:
    """All that is set, by rule, and from the widest scope to the narrowest."""
    found = _set(conn)
    changes = _changes(conn)
    names = _names(conn, {scope for _, scope in found})
    return [
        Setting(rule, scope, given, names.get(scope), *_last(changes.get(_subject(rule, scope)), given))  # type: ignore[arg-type]
        for (rule, scope), given in sorted(found.items(), key=_in_order)
        if given
    ]


def of(conn: Conn, rule: str, scope: Scope) -> dict[str, Any]:
    """What is set of this rule for this scope alone."""
    row = conn.execute(
        "SELECT settings FROM alert_setting WHERE rule = %s AND (scope_kind, scope_id) = (%s, %s)", (rule, scope.kind, scope.id)
    ).fetchone()
    given: dict[str, Any] = dict(row[0]) if row else {}  # type: ignore[call-overload]
    return {**given, **(_own(conn, scope) if _in_columns(rule, scope) else {})}


def change(conn: Conn, rule: Rule, scope: Scope, given: Mapping[str, Any], now: datetime, by: str, note: str | None = None) -> bool:
    """These are the settings of the scope now, whatever was there; whether that changed anything. An empty one: the wider scope's hold.

    Raises ValueError saying what is wrong with them, UnknownScope for a site or device that nobody has heard of.
    """
    wanted = checked(rule, given)
    if scope.kind not in SCOPES_OF[rule]:
        raise ValueError(f"{rule} is set for {', '.join(SCOPES_OF[rule])}, not for a {scope.kind}")
    if not _exists(conn, scope):
        raise UnknownScope(scope.id)
    _lock(conn, rule, scope)
    before = of(conn, rule, scope)
    if before == wanted:
        return False
    _write(conn, rule, scope, wanted, now, by)
    action = CHANGED if wanted else CLEARED
    alert_actions.record(conn, now, by, action, subject=_subject(rule, scope), note=note, before=before or None, after=wanted or None)
    if _judging(before) != _judging(wanted):
        expectation_version.bump(conn)
    return True


def _subject(rule: str, scope: Scope) -> str:
    """How the record calls it."""
    return f"{rule} {scope.kind} {scope.id}".strip()


def _in_columns(rule: str, scope: Scope) -> bool:
    return rule == "low_efficiency" and scope.kind in ("site", "vehicle")


def _judging(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given.get(name) for name in _JUDGING}


def _in_order(one: tuple[tuple[str, Scope], object]) -> tuple[int, int, str]:
    (rule, scope), _ = one
    return list(SETTINGS).index(rule), ("all", "site", "vehicle", "meter").index(scope.kind), scope.id  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------------------- reading


def _set(conn: Conn) -> dict[tuple[str, Scope], dict[str, Any]]:
    rows = conn.execute("SELECT rule, scope_kind, scope_id, settings FROM alert_setting").fetchall()
    found = {(str(rule), Scope(str(kind), str(scope_id))): dict(given) for rule, kind, scope_id, given in rows}  # type: ignore[call-overload]
    for kind in ("site", "vehicle"):
        own = conn.execute(
            f"""SELECT {kind}_id, {", ".join(_JUDGING.values())} FROM {kind}
                WHERE num_nonnulls({", ".join(_JUDGING.values())}) > 0"""
        ).fetchall()
        for scope_id, *values in own:
            found.setdefault(("low_efficiency", Scope(kind, str(scope_id))), {}).update(_named(values))
    return found


def _own(conn: Conn, scope: Scope) -> dict[str, Any]:
    row = conn.execute(f"SELECT {', '.join(_JUDGING.values())} FROM {scope.kind} WHERE {scope.kind}_id = %s", (scope.id,)).fetchone()
    return _named(row) if row else {}


def _named(values: Any) -> dict[str, Any]:
    return {name: value for name, value in zip(_JUDGING, values, strict=True) if value is not None}


_Change = tuple[datetime, str, str | None, dict[str, Any]]


def _changes(conn: Conn) -> dict[str, _Change]:
    """The newest change of each."""
    rows: Any = conn.execute(
        """SELECT DISTINCT ON (subject) subject, at, by, note, after FROM alert_action WHERE action = ANY(%s)
           ORDER BY subject, action_id DESC""",
        ([CHANGED, CLEARED],),
    ).fetchall()
    return {subject: (at, by, note, after or {}) for subject, at, by, note, after in rows}


def _last(newest: _Change | None, given: Mapping[str, Any]) -> tuple[datetime | None, str | None, str | None]:
    """Who changed it last, unless it was changed elsewhere since."""
    if newest is None or newest[3] != given:
        return None, None, None
    return newest[:3]


def _names(conn: Conn, scopes: set[Scope]) -> dict[Scope, str]:
    found = {}
    for kind in ("site", "vehicle", "meter"):
        ids = [scope.id for scope in scopes if scope.kind == kind]
        rows = conn.execute(f"SELECT {kind}_id, name FROM {kind} WHERE {kind}_id = ANY(%s) AND name IS NOT NULL", (ids,)).fetchall()
        found.update({Scope(kind, str(scope_id)): str(name) for scope_id, name in rows})
    return found


# ----------------------------------------------------------------------------------------------------------------------- writing

# Plain selects, since devices' tables may be distributed.
_HEARD_OF = {
    "site": "SELECT site_id FROM site WHERE site_id = %(id)s",
    "vehicle": """SELECT vehicle_id FROM vehicle WHERE vehicle_id = %(id)s UNION SELECT vehicle_id FROM live_vehicle WHERE vehicle_id = %(id)s
                  UNION SELECT vehicle_id FROM assignment WHERE vehicle_id = %(id)s""",
    "meter": """SELECT meter_id FROM meter WHERE meter_id = %(id)s UNION SELECT meter_id FROM live_meter WHERE meter_id = %(id)s
                UNION SELECT meter_id FROM assignment WHERE meter_id = %(id)s""",
}


def _exists(conn: Conn, scope: Scope) -> bool:
    return scope == ALL or bool(conn.execute(_HEARD_OF[scope.kind], {"id": scope.id}).fetchall())


def _lock(conn: Conn, rule: str, scope: Scope) -> None:
    """Nobody else changes this meanwhile, also not as a description."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    if _in_columns(rule, scope):
        if scope.kind == "site":
            sites.lock(conn)
        conn.execute(f"SELECT FROM {scope.kind} WHERE {scope.kind}_id = %s FOR UPDATE", (scope.id,))


def _write(conn: Conn, rule: str, scope: Scope, wanted: Mapping[str, Any], now: datetime, by: str) -> None:
    kept = dict(wanted)
    if _in_columns(rule, scope):
        _write_columns(conn, scope, [kept.pop(name, None) for name in _JUDGING])
    if not kept:
        conn.execute("DELETE FROM alert_setting WHERE rule = %s AND (scope_kind, scope_id) = (%s, %s)", (rule, scope.kind, scope.id))
        return
    conn.execute(
        """INSERT INTO alert_setting (rule, scope_kind, scope_id, settings, changed_at, changed_by) VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (rule, scope_kind, scope_id) DO UPDATE
           SET settings = excluded.settings, changed_at = excluded.changed_at, changed_by = excluded.changed_by""",
        (rule, scope.kind, scope.id, Jsonb(kept), now, by),
    )


def _write_columns(conn: Conn, scope: Scope, values: list[Any]) -> None:
    """A vehicle that only reported gets a row; a site has one, for it needs a name."""
    moved = ", ".join(f"{name} = %s" for name in _JUDGING.values())
    if scope.kind == "vehicle" and any(value is not None for value in values):
        conn.execute("INSERT INTO vehicle (vehicle_id) VALUES (%s) ON CONFLICT DO NOTHING", (scope.id,))
    conn.execute(f"UPDATE {scope.kind} SET {moved} WHERE {scope.kind}_id = %s", (*values, scope.id))
