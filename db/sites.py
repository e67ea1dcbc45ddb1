"""Sites: where they are, what energy costs there, and by which thresholds their vehicles are judged."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace

from psycopg.rows import args_row

from db import expectation_version
from db.engine import Conn

_LOCK = 4_096_115_007  # a file of sites keeps what it does not name: nobody may change that between its reading and its writing


@dataclass(frozen=True, slots=True)
class Site:
    """A place with vehicles and chargers; None where nobody said. Tariff and grid intensity are kept to a millionth.

    `tariff_per_kwh` is money of the operator's currency, `plain_low` and `plain_critical` are ratios; None: as in the settings.
    """

    site_id: str
    name: str
    latitude: float | None = None
    longitude: float | None = None
    time_zone: str = "UTC"
    tariff_per_kwh: float | None = None
    co2_kg_per_kwh: float | None = None
    thresholds: str | None = None
    plain_low: float | None = None
    plain_critical: float | None = None


_COLUMNS = """site_id, name, latitude_e7 / 1e7::float8, longitude_e7 / 1e7::float8, time_zone, tariff_per_kwh::float8, co2_kg_per_kwh::float8,
              thresholds, plain_low, plain_critical"""


def sites(conn: Conn, after: str = "", limit: int | None = None) -> list[Site]:
    """Sites ordered by id, those after `after`, at most `limit`."""
    with conn.cursor(row_factory=args_row(Site)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM site WHERE site_id > %s ORDER BY site_id LIMIT %s".encode(), (after, limit)
        ).fetchall()


def known(conn: Conn, site_ids: Iterable[str]) -> dict[str, Site]:
    """Those of these sites that are described, by id."""
    with conn.cursor(row_factory=args_row(Site)) as cursor:
        found = cursor.execute(f"SELECT {_COLUMNS} FROM site WHERE site_id = ANY(%s)".encode(), (list(site_ids),)).fetchall()
    return {one.site_id: one for one in found}


def lock(conn: Conn) -> None:
    """Until the transaction ends nobody else changes sites."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


def put(conn: Conn, wanted: Sequence[Site]) -> dict[str, Site]:
    """Create or change sites; those of them that were there before, as they were."""
    lock(conn)
    before = known(conn, [one.site_id for one in wanted])
    new = [one for one in map(kept, wanted) if before.get(one.site_id) != one]
    if new:
        _upsert(conn, new)
        expectation_version.bump(conn)
    return before


def kept(site: Site) -> Site:
    """The site as it can be stored."""
    latitude, longitude = (None if degrees is None else _e7(degrees) / 1e7 for degrees in (site.latitude, site.longitude))
    tariff, co2 = (None if value is None else round(value, 6) for value in (site.tariff_per_kwh, site.co2_kg_per_kwh))
    return replace(site, latitude=latitude, longitude=longitude, tariff_per_kwh=tariff, co2_kg_per_kwh=co2)


def _upsert(conn: Conn, new: list[Site]) -> None:
    rows = [(s[0], s[1], *(None if degrees is None else _e7(degrees) for degrees in s[2:4]), *s[4:]) for s in map(astuple, new)]
    conn.execute(
        """INSERT INTO site (site_id, name, latitude_e7, longitude_e7, time_zone, tariff_per_kwh, co2_kg_per_kwh, thresholds, plain_low, plain_critical)
           SELECT * FROM unnest(%s::text[], %s::text[], %s::int[], %s::int[], %s::text[], %s::float8[]::numeric[], %s::float8[]::numeric[],
                                %s::text[], %s::float8[], %s::float8[])
           ON CONFLICT (site_id) DO UPDATE SET name = excluded.name, latitude_e7 = excluded.latitude_e7, longitude_e7 = excluded.longitude_e7,
               time_zone = excluded.time_zone, tariff_per_kwh = excluded.tariff_per_kwh, co2_kg_per_kwh = excluded.co2_kg_per_kwh,
               thresholds = excluded.thresholds, plain_low = excluded.plain_low, plain_critical = excluded.plain_critical""",
        [list(column) for column in zip(*rows, strict=True)],
    )


def _e7(degrees: float) -> int:
    return round(degrees * 10_000_000)
