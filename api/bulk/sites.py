"""Sites from a file: names, places, tariffs; all rows or none."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal
from zoneinfo import available_timezones

from api.bulk.cells import Wrong, cell, device_id, name, number
from api.bulk.table import Columns, Fault, Row, WrongRows, fault, read
from api.params import MOST_CO2_KG, MOST_TARIFF
from db import sites
from db.engine import Conn
from db.sites import Site

COLUMNS = Columns(("site_id",), ("name", "latitude", "longitude", "time_zone", "tariff_per_kwh", "co2_kg_per_kwh"))
# A field of a site as the wire names it.
WIRE = {
    "name": "name",
    "latitude": "latitude",
    "longitude": "longitude",
    "time_zone": "timeZone",
    "tariff_per_kwh": "tariffPerKwh",
    "co2_kg_per_kwh": "co2KgPerKwh",
}

Action = Literal["new", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Planning:
    """A row of the file: the site before, None where it is new, and after."""

    line: int
    before: Site | None
    after: Site

    @property
    def action(self) -> Action:
        """What becomes of the site."""
        if self.before is None:
            return "new"
        return "unchanged" if self.before == self.after else "changed"

    def changes(self) -> list[dict[str, Any]]:
        """The fields that differ."""
        pairs = [(word, getattr(self.before, field, None), getattr(self.after, field)) for field, word in WIRE.items()]
        return [{"field": word, "before": before, "after": after} for word, before, after in pairs if before != after]


def put_file(conn: Conn, raw: bytes, *, dry_run: bool) -> list[Planning]:
    """Describe a whole file's sites, or with `dry_run` only say what that would change. A column that the file does not have stays as it is.

    Raises WrongRows, and then nothing is changed; Problem 413 for too many rows.
    """
    rows, found = read(raw, COLUMNS)
    site_ids = [_site_id(row, found) for row in rows]
    if not dry_run:
        sites.lock(conn)
    known = sites.known(conn, {site_id for site_id in site_ids if site_id})
    parsers = _parsers()
    done: list[Planning] = []
    lines: dict[str, int] = {}
    for row, site_id in zip(rows, site_ids, strict=True):
        before = known.get(site_id or "")
        site = _site(row, before or Site(site_id or "", ""), parsers, found)
        if not row["name"] and ("name" in row.cells or not before):
            found.append(fault(row.line, "name", "missing_field", "name is missing"))
        if site_id and lines.setdefault(site_id, row.line) != row.line:
            found.append(fault(row.line, "site_id", "overlap", f"lines {lines[site_id]} and {row.line} both describe {site_id}"))
        done.append(Planning(row.line, before, sites.kept(site)))
    if found:
        raise WrongRows(found)
    if not dry_run:
        sites.put(conn, [one.after for one in done])
    return done


def words(done: list[Planning], *, dry_run: bool) -> dict[str, Any]:
    """The answer."""
    counted = Counter(one.action for one in done)
    return {
        "dryRun": dry_run,
        "applied": not dry_run,
        "counts": {"rows": len(done), **{action: counted[action] for action in ("new", "changed", "unchanged")}},
        "rows": [{"line": one.line, "siteId": one.after.site_id, "action": one.action, "changes": one.changes()} for one in done],
    }


def _parsers() -> dict[str, Callable[[str, str], Any]]:
    """How each column is read; the time zones are looked up once for a file."""
    zones = available_timezones()

    def time_zone(column: str, text: str) -> str:
        if text not in zones:
            raise Wrong("invalid_text", f"{column} is an IANA name like Europe/Berlin")
        return text

    return {
        "name": name,
        "latitude": number(-90, 90, "degrees"),
        "longitude": number(-180, 180, "degrees"),
        "time_zone": time_zone,
        "tariff_per_kwh": number(0, MOST_TARIFF, "a kWh"),
        "co2_kg_per_kwh": number(0, MOST_CO2_KG, "kg a kWh"),
    }


def _site_id(row: Row, found: list[Fault]) -> str | None:
    if not row["site_id"]:
        found.append(fault(row.line, "site_id", "missing_field", "site_id is missing"))
    return cell(row, "site_id", device_id, found)


def _site(row: Row, before: Site, parsers: dict[str, Callable[[str, str], Any]], found: list[Fault]) -> Site:
    """The site as the row wants it."""
    given: dict[str, Any] = {column: cell(row, column, parse, found) for column, parse in parsers.items() if column in row.cells}
    if "time_zone" in given and not row["time_zone"]:
        given["time_zone"] = "UTC"
    wanted = replace(before, **given)
    if (wanted.latitude is None) != (wanted.longitude is None) and not any(
        _unreadable(row, given, axis) for axis in ("latitude", "longitude")
    ):
        found.append(fault(row.line, "latitude", "missing_field", "latitude and longitude come together: give both or neither"))
    return wanted


def _unreadable(row: Row, given: dict[str, Any], column: str) -> bool:
    """Whether a cell holds what is no value: then that has been said already."""
    return bool(row[column]) and given.get(column) is None
