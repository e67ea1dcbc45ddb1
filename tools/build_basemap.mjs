// Builds assets/map/basemap.bin from npm's world-atlas (Natural Earth 1:10m, public domain). Run by tools/build_basemap.sh.
//
//   node tools/build_basemap.mjs <folder with node_modules> <output.bin> <countries.json>
//
// The file holds unsigned LEB128 varints only, so that the page decodes it in a few lines and it needs no compression to be small:
//   bits                       coordinates are Web Mercator squares of 2^bits steps, x to the right, y down
//   rings, then lines          land (closed) and borders (open), each as: count, then for each: points, x0, y0, dx1, dy1, …
// Differences are zigzag coded. Rings come largest first.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

const [folder, output, labelsOutput] = process.argv.slice(2);
const require = createRequire(folder + "/");
const { merge, mesh, feature } = require("topojson-client");
const { presimplify, simplify } = require("topojson-simplify");

const BITS = 20; // 38 m at the equator
const EUROPE = { west: -25, east: 45, south: 34, north: 72 };
const AREA_EUROPE = 2e-5; // square degrees a corner must span to stay: about 0.2 km²
const AREA_ELSEWHERE = 2e-3;

const inEurope = ([lon, lat]) => lon > EUROPE.west && lon < EUROPE.east && lat > EUROPE.south && lat < EUROPE.north;

/** Corners outside Europe weigh less, so that one threshold thins the rest of the world harder. */
function weighted(topology) {
  for (const arc of topology.arcs) for (const point of arc) if (!inEurope(point)) point[2] *= AREA_EUROPE / AREA_ELSEWHERE;
  return topology;
}

function mercator([lon, lat]) {
  const clamped = Math.max(-85.05, Math.min(85.05, lat));
  const sin = Math.sin((clamped * Math.PI) / 180);
  const size = 2 ** BITS;
  return [Math.round(((lon + 180) / 360) * size), Math.round((0.5 - Math.log((1 + sin) / (1 - sin)) / (4 * Math.PI)) * size)];
}

function projected(line) {
  const points = [];
  for (const point of line) {
    const [x, y] = mercator(point);
    const last = points.at(-1);
    if (!last || last[0] !== x || last[1] !== y) points.push([x, y]);
  }
  return points;
}

const area = (ring) => Math.abs(ring.reduce((sum, [x, y], i) => { const [u, v] = ring[(i + 1) % ring.length]; return sum + x * v - u * y; }, 0) / 2);

const bytes = [];
function varint(value) {
  while (value >= 128) { bytes.push((value % 128) | 128); value = Math.floor(value / 128); }
  bytes.push(value);
}
const zigzag = (value) => varint(value < 0 ? -2 * value - 1 : 2 * value);

function write(lines) {
  varint(lines.length);
  for (const line of lines) {
    varint(line.length);
    varint(line[0][0]);
    varint(line[0][1]);
    for (let i = 1; i < line.length; i++) { zigzag(line[i][0] - line[i - 1][0]); zigzag(line[i][1] - line[i - 1][1]); }
  }
}

/** Where a country's name stands: the centre of gravity of its largest piece. */
function label({ properties, geometry }) {
  const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  const rings = polygons.map((polygon) => projected(polygon[0]).map(([x, y]) => [x, y]));
  const largest = rings.sort((a, b) => area(b) - area(a))[0];
  let x = 0, y = 0, sum = 0;
  largest.forEach(([px, py], i) => {
    const [qx, qy] = largest[(i + 1) % largest.length];
    const cross = px * qy - qx * py;
    sum += cross; x += (px + qx) * cross; y += (py + qy) * cross;
  });
  return [properties.name, Math.round(x / (3 * sum)), Math.round(y / (3 * sum)), Math.round(Math.sqrt(area(largest)))];
}

const topology = simplify(weighted(presimplify(JSON.parse(readFileSync(`${folder}/node_modules/world-atlas/countries-10m.json`)))), AREA_EUROPE);
const countries = topology.objects.countries;
const land = merge(topology, countries.geometries.filter((g) => g.properties.name !== "Antarctica"));
const rings = land.coordinates.flat().map(projected).filter((ring) => ring.length > 3 && area(ring) > 40).sort((a, b) => area(b) - area(a));
const borders = mesh(topology, countries, (a, b) => a !== b).coordinates.map(projected).filter((line) => line.length > 1);
varint(BITS);
write(rings);
write(borders);
writeFileSync(output, Buffer.from(bytes));
const named = feature(topology, countries).features.filter((f) => f.properties.name && f.properties.name !== "Antarctica");
writeFileSync(labelsOutput, JSON.stringify(named.map(label).filter((l) => l[3] > 400).sort((a, b) => b[3] - a[3])));
console.log(`${rings.length} rings, ${borders.length} borders, ${[...rings, ...borders].reduce((n, l) => n + l.length, 0)} points, ${bytes.length} bytes`);
