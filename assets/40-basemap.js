// The base map: land, borders and names of our own, drawn on a canvas under everything else. Asks nobody outside.
(function () {
  "use strict";
  const { voltledger } = window;
  const TILE = 256;

  /** Unsigned LEB128 varints, see tools/build_basemap.mjs. */
  function reader(buffer) {
    const bytes = new Uint8Array(buffer);
    let at = 0;
    const next = () => {
      let value = 0, scale = 1, byte;
      do { byte = bytes[at++]; value += (byte & 127) * scale; scale *= 128; } while (byte & 128);
      return value;
    };
    const signed = () => { const value = next(); return value % 2 ? -(value + 1) / 2 : value / 2; };
    return { next, signed };
  }

  /** One line as { xy: x0, y0, x1, y1, … in the unit square, box: [west, north, east, south] }. */
  function readLine({ next, signed }, size) {
    const points = next();
    const xy = new Float64Array(points * 2);
    let x = next(), y = next();
    const box = [x, y, x, y];
    for (let i = 0; i < points; i++) {
      if (i) { x += signed(); y += signed(); }
      xy[2 * i] = x / size;
      xy[2 * i + 1] = y / size;
      box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y); box[2] = Math.max(box[2], x); box[3] = Math.max(box[3], y);
    }
    return { xy, box: box.map((v) => v / size) };
  }

  function decode(buffer) {
    const source = reader(buffer);
    const size = 2 ** source.next();
    const lines = () => Array.from({ length: source.next() }, () => readLine(source, size));
    return { rings: lines(), borders: lines() };
  }

  /** What can be seen at this many pixels per world: corners closer than `step` to the last one kept are left out. */
  function thinned(lines, step, least) {
    const kept = [];
    for (const line of lines) {
      if (least && Math.max(line.box[2] - line.box[0], line.box[3] - line.box[1]) < step * 2) continue;
      const { xy } = line;
      const out = [xy[0], xy[1]];
      for (let i = 2; i < xy.length - 2; i += 2) {
        if (Math.abs(xy[i] - out[out.length - 2]) + Math.abs(xy[i + 1] - out[out.length - 1]) >= step) out.push(xy[i], xy[i + 1]);
      }
      out.push(xy[xy.length - 2], xy[xy.length - 1]);
      kept.push({ xy: Float64Array.from(out), box: line.box });
    }
    return kept;
  }

  const levels = new Map();
  function detail(map, zoom) {
    const level = Math.min(9, Math.max(0, Math.ceil(zoom)));
    if (!levels.has(level)) {
      const step = level >= 9 ? 0 : 0.9 / (TILE * 2 ** level);
      levels.set(level, step ? { rings: thinned(map.rings, step, true), borders: thinned(map.borders, step, false) } : map);
    }
    return levels.get(level);
  }

  const outcode = (x, y, w, h) => (x < 0 ? 1 : x > w ? 2 : 0) | (y < 0 ? 4 : y > h ? 8 : 0);

  /** Adds a line to the path. A run of corners beyond the same edge is left out: it changes nothing that can be seen. */
  function trace(ctx, xy, view) {
    const { scale, left, top, width, height } = view;
    let before = 0, pendingX = 0, pendingY = 0, pending = false;
    for (let i = 0; i < xy.length; i += 2) {
      const x = xy[i] * scale - left, y = xy[i + 1] * scale - top;
      const code = outcode(x, y, width, height);
      if (i && code & before) { pendingX = x; pendingY = y; pending = true; before &= code; continue; }
      if (pending) { ctx.lineTo(pendingX, pendingY); pending = false; }
      if (i) ctx.lineTo(x, y); else ctx.moveTo(x, y);
      before = code;
    }
    if (pending) ctx.lineTo(pendingX, pendingY);
  }
  const seen = ({ box }, { scale, left, top, width, height }) =>
    box[2] * scale > left && box[0] * scale < left + width && box[3] * scale > top && box[1] * scale < top + height;

  function colours() {
    return Object.fromEntries(["water", "land", "coast", "border", "place", "country", "halo"].map((n) => [n, voltledger.token(`--map-${n}`)]));
  }

  function drawLand(ctx, map, view, paint) {
    const { rings, borders } = detail(map, view.zoom);
    ctx.fillStyle = paint.water;
    ctx.fillRect(0, 0, view.width, view.height);
    ctx.beginPath();
    for (const ring of rings) if (seen(ring, view)) trace(ctx, ring.xy, view);
    ctx.fillStyle = paint.land;
    ctx.fill("evenodd");
    ctx.lineJoin = "round";
    ctx.strokeStyle = paint.coast;
    ctx.lineWidth = view.zoom > 6 ? 1.2 : 0.8;
    ctx.stroke();
    ctx.beginPath();
    for (const line of borders) if (seen(line, view)) trace(ctx, line.xy, view);
    ctx.strokeStyle = paint.border;
    ctx.lineWidth = view.zoom > 6 ? 1.4 : 1;
    ctx.stroke();
  }

  // thousand inhabitants a place needs to be named at a zoom
  const CROWD = [[4, Infinity], [5, 2500], [6, 900], [7, 350], [8, 150], [9, 70], [10, 40], [11, 25], [Infinity, 0]];
  const needed = (zoom) => CROWD.find(([below]) => zoom < below)[1];

  /** Takes room for a label if it is free. */
  function claims() {
    const taken = [];
    return (box) => {
      if (taken.some((t) => box[0] < t[2] && box[2] > t[0] && box[1] < t[3] && box[3] > t[1])) return false;
      taken.push(box);
      return true;
    };
  }

  function write(ctx, text, x, y, paint, colour) {
    ctx.lineWidth = 3;
    ctx.strokeStyle = paint.halo;
    ctx.strokeText(text, x, y);
    ctx.fillStyle = colour;
    ctx.fillText(text, x, y);
  }

  function nameCountries(ctx, names, view, paint, claim) {
    if (view.zoom < 3 || view.zoom >= 7) return;
    ctx.textAlign = "center";
    ctx.font = "600 10.5px system-ui, sans-serif";
    ctx.letterSpacing = "1.4px";
    for (const [name, wx, wy, size] of names.countries) {
      const x = (wx / names.size) * view.scale - view.left, y = (wy / names.size) * view.scale - view.top;
      if (outcode(x, y, view.width, view.height)) continue;
      const text = name.toUpperCase(), half = ctx.measureText(text).width / 2;
      if ((size / names.size) * view.scale < half * 1.5) continue;
      if (claim([x - half, y - 9, x + half, y + 9])) write(ctx, text, x, y, paint, paint.country);
    }
    ctx.letterSpacing = "0px";
  }

  function namePlaces(ctx, names, view, paint, claim) {
    const least = needed(view.zoom);
    ctx.textAlign = "left";
    for (const [name, wx, wy, people] of names.places) {
      if (people < least) return;
      const x = (wx / names.size) * view.scale - view.left, y = (wy / names.size) * view.scale - view.top;
      if (outcode(x, y, view.width, view.height)) continue;
      ctx.font = people > 900 ? "500 12px system-ui, sans-serif" : "11px system-ui, sans-serif";
      if (!claim([x - 6, y - 11, x + 10 + ctx.measureText(name).width, y + 11])) continue;
      ctx.beginPath();
      ctx.arc(x, y, 1.8, 0, 7);
      ctx.fillStyle = paint.place;
      ctx.fill();
      write(ctx, name, x + 6, y, paint, paint.place);
    }
  }

  function drawNames(ctx, names, view, paint) {
    const claim = claims();
    ctx.textBaseline = "middle";
    nameCountries(ctx, names, view, paint, claim);
    namePlaces(ctx, names, view, paint, claim);
  }

  let land = null, names = null, asked = null;
  function load() {
    asked ??= Promise.all([
      window.fetch("/assets/map/basemap.bin").then((answer) => answer.arrayBuffer()).then((buffer) => { land = decode(buffer); }),
      window.fetch("/assets/map/places.json").then((answer) => answer.json()).then((json) => { names = { ...json, size: 2 ** json.bits }; }),
    ]).catch(() => { asked = null; });
    return asked;
  }

  voltledger.basemap = {
    load,
    /** Draws what has arrived so far. */
    draw(ctx, view) {
      const paint = colours();
      if (land) drawLand(ctx, land, view, paint);
      if (names) drawNames(ctx, names, view, paint);
    },
  };
})();
