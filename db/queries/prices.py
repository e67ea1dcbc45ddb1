"""What a kWh costs and emits where a vehicle charged."""

from collections.abc import Sequence

from charging.losses import Price
from db.engine import Conn


def price_of(conn: Conn, vehicle_id: str, meter_ids: Sequence[str], common: Price) -> Price:
    """The price of the site of these meters where it is one, else of the vehicle's site; what a site does not say is as in `common`."""
    row = conn.execute(
        """WITH place AS (SELECT DISTINCT site_id FROM meter WHERE meter_id = ANY(%(meters)s) AND site_id IS NOT NULL),
                one AS (SELECT CASE WHEN (SELECT count(*) FROM place) = 1 THEN (SELECT min(site_id) FROM place)
                                    ELSE (SELECT site_id FROM vehicle WHERE vehicle_id = %(vehicle)s) END AS site_id)
           SELECT tariff_per_kwh::float8, co2_kg_per_kwh::float8 FROM site JOIN one USING (site_id)""",
        {"meters": list(meter_ids), "vehicle": vehicle_id},
    ).fetchone()
    tariff, co2 = row or (None, None)
    return Price(
        common.tariff_per_kwh if tariff is None else float(str(tariff)),
        common.co2_kg_per_kwh if co2 is None else float(str(co2)),
    )
