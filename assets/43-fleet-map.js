// The fleet on the map. A tick redraws one canvas: it never moves the camera, closes a hover or blinks.
(function () {
  "use strict";
  const { voltledger } = window;
  const FAN_ZOOM = 12; // from here on, vehicles at one place stand side by side instead of as a number
  const GROUP_PX = 38, FAN_PX = 18, SPREAD_PX = 11.5, APART_PX = 64; // the last is more than two of the largest groups need
  const GOLDEN = Math.PI * (3 - Math.sqrt(5));

  const state = { map: null, base: null, fleet: null, unit: null, items: [], hovered: null, camera: null, fitted: false };

  /** Positions in the unit square; NaN where a vehicle has none. Kept while nobody moves. */
  function unitPositions({ lat, lon }) {
    const xy = new Float64Array(lat.length * 2);
    for (let i = 0; i < lat.length; i++) {
      const sin = lat[i] === null ? NaN : Math.sin((lat[i] * Math.PI) / 180);
      xy[2 * i] = lat[i] === null ? NaN : (lon[i] + 180) / 360;
      xy[2 * i + 1] = 0.5 - Math.log((1 + sin) / (1 - sin)) / (4 * Math.PI);
    }
    return xy;
  }

  /** Groups of indices that stand within `reach` pixels of a first one, in the order of the picture: the same picture gives the same groups. */
  function grouped(unit, scale, reach, shown) {
    const cells = new Map(), groups = [];
    for (let i = 0; i < shown.length; i++) {
      if (!shown[i] || Number.isNaN(unit[2 * i])) continue;
      const x = unit[2 * i] * scale, y = unit[2 * i + 1] * scale;
      const cx = Math.floor(x / reach), cy = Math.floor(y / reach);
      const found = near(cells, cx, cy, x, y, reach);
      if (found) { found.members.push(i); found.sumX += x; found.sumY += y; continue; }
      const group = { x, y, sumX: x, sumY: y, members: [i] };
      groups.push(group);
      const key = cx * 4294967 + cy;
      if (cells.has(key)) cells.get(key).push(group); else cells.set(key, [group]);
    }
    return groups;
  }

  function near(cells, cx, cy, x, y, reach) {
    for (let dx = -1; dx <= 1; dx++) {
      for (let dy = -1; dy <= 1; dy++) {
        for (const group of cells.get((cx + dx) * 4294967 + cy + dy) ?? []) {
          if ((group.x - x) ** 2 + (group.y - y) ** 2 < reach * reach) return group;
        }
      }
    }
    return null;
  }

  /** Groups and lone vehicles that a larger group would cover join it, so that every number can be read. The larger ones keep their places. */
  function apart(groups) {
    for (let before = Infinity; groups.length < before;) [before, groups] = [groups.length, joined(groups)]; // one that has grown may cover another
    return groups;
  }
  function joined(groups) {
    const cells = new Map(), kept = [];
    for (const group of groups.sort((a, b) => b.members.length - a.members.length)) {
      const cx = Math.floor(group.x / APART_PX), cy = Math.floor(group.y / APART_PX), over = covering(cells, cx, cy, group);
      if (over) { over.members.push(...group.members); continue; }
      kept.push(group);
      if (group.members.length === 1) continue; // covers nobody
      const key = cx * 4294967 + cy;
      if (cells.has(key)) cells.get(key).push(group); else cells.set(key, [group]);
    }
    return kept;
  }
  const room = ({ members }) => (members.length > 1 ? voltledger.markers.radius(members.length) : 4);
  function covering(cells, cx, cy, group) {
    for (let dx = -1; dx <= 1; dx++) {
      for (let dy = -1; dy <= 1; dy++) {
        for (const other of cells.get((cx + dx) * 4294967 + cy + dy) ?? []) {
          if (Math.hypot(other.x - group.x, other.y - group.y) < room(other) + room(group)) return other;
        }
      }
    }
    return null;
  }

  function countKinds(members) {
    const kinds = new Map();
    for (const i of members) { const kind = voltledger.live.kind(i); kinds.set(kind, (kinds.get(kind) ?? 0) + 1); }
    return kinds;
  }

  /** What stands where, in world pixels: single vehicles, fanned vehicles, groups. */
  function arrange(zoom) {
    const scale = 256 * 2 ** zoom, fan = zoom >= FAN_ZOOM;
    const items = [];
    const groups = grouped(state.unit, scale, fan ? FAN_PX : GROUP_PX, voltledger.fleet.shown);
    for (const group of groups) Object.assign(group, { x: group.sumX / group.members.length, y: group.sumY / group.members.length });
    for (const group of fan ? groups : apart(groups)) {
      const n = group.members.length, { x, y } = group;
      if (n > 1 && !fan) { items.push({ x, y, r: voltledger.markers.radius(n) + 3, members: group.members, kinds: countKinds(group.members) }); continue; }
      group.members.forEach((index, k) => {
        const r = n > 1 ? SPREAD_PX * Math.sqrt(k + 0.4) : 0;
        items.push({ x: x + r * Math.cos(k * GOLDEN), y: y + r * Math.sin(k * GOLDEN), r: voltledger.markers.reach, index });
      });
    }
    // the worst lie on top
    return items.sort((a, b) => (a.index === undefined) - (b.index === undefined) || rankOf(b) - rankOf(a));
  }
  const rankOf = (item) => (item.index === undefined ? 0 : voltledger.kinds.rank(voltledger.live.kind(item.index)));

  function arranged(zoom) {
    const { picture } = voltledger.live, { version } = voltledger.fleet;
    const key = `${picture.asOf}|${version}|${zoom}`;
    if (state.key !== key) { state.key = key; state.items = arrange(zoom); }
    return state.items;
  }

  function drawFleet(ctx, view) {
    if (!state.unit) return;
    const { picture, at } = voltledger.live, chosen = at.get(voltledger.fleet.selected);
    for (const item of arranged(view.zoom)) {
      const x = item.x - view.left, y = item.y - view.top;
      if (x < -40 || y < -40 || x > view.width + 40 || y > view.height + 40) continue;
      if (item.index === undefined) voltledger.markers.group(ctx, x, y, item.members.length, item.kinds);
      else voltledger.markers.vehicle(ctx, x, y, voltledger.live.kind(item.index), picture.vehicles.charging[item.index], picture.vehicles.silent[item.index]);
      if (chosen !== undefined && (item.index === chosen || item.members?.includes(chosen))) voltledger.markers.halo(ctx, x, y, item.r + 3);
    }
  }

  /** The topmost thing under the pointer, or null. */
  function under(event) {
    const point = state.map.mouseEventToLayerPoint(event).add(state.map.getPixelOrigin());
    for (let k = state.items.length - 1; k >= 0; k--) {
      const item = state.items[k];
      if ((item.x - point.x) ** 2 + (item.y - point.y) ** 2 <= (item.r + 2) ** 2) return item;
    }
    return null;
  }

  // ---- hover ----
  function vehicleLines(id) {
    const { format } = voltledger, v = voltledger.live.vehicle(id);
    const kind = voltledger.kinds.of(v.verdict, v.severity);
    const facts = [
      ["State of charge", format.absent(v.soc) ? "not measured" : `${format.number(v.soc, 0)} %`],
      ["Power", format.absent(v.powerKw) ? "unknown" : `${format.amount(v.powerKw)} kW`],
      ["Efficiency, 24 h", format.absent(v.efficiency) ? "none" : format.percent(v.efficiency)],
      ["Last reading", format.absent(v.recordedAt) ? "never" : `${format.age(voltledger.live.now() - v.recordedAt)} ago`],
    ];
    return { title: v.name || v.id, kind, under: [v.site, v.positionFrom === "meter" ? "shown at its meter" : null].filter(Boolean).join(" · "), facts };
  }

  function groupLines(item) {
    const { vehicles } = voltledger.live.picture;
    const kw = item.members.reduce((sum, i) => sum + (vehicles.charging[i] ? vehicles.powerKw[i] ?? 0 : 0), 0);
    const worstFirst = [...item.kinds].sort((a, b) => voltledger.kinds.rank(a[0]) - voltledger.kinds.rank(b[0]));
    const sites = [...new Set(item.members.map((i) => vehicles.site[i]).filter(Boolean))];
    return {
      title: `${item.members.length} vehicles`,
      under: sites.slice(0, 3).join(", ") + (sites.length > 3 ? ` and ${sites.length - 3} more` : ""),
      facts: [...worstFirst.map(([kind, n]) => [voltledger.kinds.label(kind), String(n)]), ["Charging", `${voltledger.format.amount(kw)} kW`]],
    };
  }

  function fillTip(tip, lines) {
    const { h, parts } = voltledger;
    tip.replaceChildren(
      h("div", { class: "map-tip-title" }, lines.kind ? parts.glyph(lines.kind) : null, lines.title),
      h("div", { class: "map-tip-under" }, [lines.kind ? voltledger.kinds.label(lines.kind) : null, lines.under].filter(Boolean).join(" · ")),
      h("dl", {}, lines.facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    );
  }

  function placeTip(tip, item) {
    const origin = state.map.getPixelOrigin(), size = state.map.getSize();
    const at = state.map.layerPointToContainerPoint([item.x - origin.x, item.y - origin.y]);
    const left = Math.min(Math.max(8, at.x + item.r + 8), size.x - tip.offsetWidth - 8);
    const above = at.y - tip.offsetHeight / 2;
    tip.style.transform = `translate(${at.x + item.r + 8 > left + 1 ? at.x - item.r - 8 - tip.offsetWidth : left}px, ${Math.min(Math.max(8, above), size.y - tip.offsetHeight - 8)}px)`;
  }

  function hover(item) {
    const container = state.map.getContainer();
    let tip = container.querySelector(".map-tip");
    container.classList.toggle("is-over", Boolean(item));
    if (!item) { state.hovered = null; tip?.remove(); return; }
    if (!tip) { tip = voltledger.h("div", { class: "map-tip", role: "status" }); container.append(tip); }
    state.hovered = item.index === undefined ? { item } : { id: voltledger.live.picture.vehicles.id[item.index] };
    fillTip(tip, item.index === undefined ? groupLines(item) : vehicleLines(state.hovered.id));
    placeTip(tip, item);
  }

  /** After a tick: the same vehicle, its new numbers. */
  function refreshHover() {
    if (!state.hovered) return;
    const index = state.hovered.id ? voltledger.live.at.get(state.hovered.id) : undefined;
    const same = state.hovered.id
      ? state.items.find((item) => item.index === index)
      : state.items.find((item) => item.members?.[0] === state.hovered.item.members[0]);
    hover(same ?? null);
  }

  // ---- camera ----
  const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  function boundsOf(indices) {
    const { lat, lon } = voltledger.live.picture.vehicles;
    return window.L.latLngBounds(indices.filter((i) => lat[i] !== null).map((i) => [lat[i], lon[i]]));
  }
  function open(item) {
    const bounds = boundsOf(item.members);
    const zoom = Math.max(state.map.getBoundsZoom(bounds.pad(0.3)), state.map.getZoom() + 1.5);
    const target = state.map.getBoundsZoom(bounds) > FAN_ZOOM ? Math.max(FAN_ZOOM, Math.min(zoom, 15)) : Math.min(zoom, 15);
    state.map.setView(bounds.getCenter(), target, { animate: !calm() });
  }
  function fit() {
    const { vehicles } = voltledger.live.picture;
    const placed = vehicles.lat.map((lat, i) => (lat === null || !voltledger.fleet.shown[i] ? -1 : i)).filter((i) => i >= 0);
    if (!placed.length) return false;
    const legend = state.map.getSize().x > 700 ? 190 : 30; // stands over the left edge
    state.map.fitBounds(boundsOf(placed), { paddingTopLeft: [legend, 40], paddingBottomRight: [40, 40], maxZoom: 11, animate: false });
    return true;
  }
  /** Once, on the first picture with positions; afterwards the camera is the viewer's. */
  function fitOnce() {
    if (state.fitted) return;
    if (!state.map.getSize().x) state.map.invalidateSize({ pan: false }); // the page was hidden until now
    state.fitted = fit();
  }

  // ---- wiring ----
  function fitControl(map) {
    const Fit = window.L.Control.extend({
      onAdd() {
        const button = voltledger.h("button", { class: "map-fit", type: "button", title: "Show the whole fleet", "aria-label": "Show the whole fleet", onclick: () => fit() });
        window.L.DomEvent.disableClickPropagation(button);
        return voltledger.h("div", { class: "leaflet-bar" }, button);
      },
    });
    new Fit({ position: "topleft" }).addTo(map);
  }

  function attribution(map) {
    const control = map.attributionControl;
    if (!control) return;
    control.setPrefix(false);
    const link = (href, text) => voltledger.h("a", { href, target: "_blank", rel: "noreferrer" }, text);
    control.getContainer().replaceChildren(link("https://www.naturalearthdata.com/", "Natural Earth"), " · ", link("https://www.geonames.org/", "GeoNames"), " CC BY 4.0");
  }

  function listen(map) {
    const container = map.getContainer();
    let asked = 0;
    map.on("mousemove", ({ originalEvent }) => {
      cancelAnimationFrame(asked);
      asked = requestAnimationFrame(() => state.map === map && !map.dragging.moving() && hover(under(originalEvent)));
    });
    container.addEventListener("mouseleave", () => hover(null));
    map.on("movestart zoomstart", () => hover(null));
    map.on("moveend", () => { if (state.map === map) state.camera = { center: map.getCenter(), zoom: map.getZoom() }; });
    map.on("click", ({ originalEvent }) => {
      const item = under(originalEvent);
      if (!item) return voltledger.fleet.select(null);
      if (item.index === undefined) return open(item);
      voltledger.fleet.select(voltledger.live.picture.vehicles.id[item.index]);
    });
  }

  function attach(map) {
    state.map = map;
    state.key = null;
    state.hovered = null;
    if (state.camera) map.setView(state.camera.center, state.camera.zoom, { animate: false });
    const tiles = map.getContainer().closest("[data-tiles]");
    if (!tiles) {
      state.base = voltledger.canvasLayer("voltledger-base", 150, voltledger.basemap.draw).addTo(map);
      voltledger.basemap.load().then(() => state.base.redraw());
      attribution(map);
    }
    state.fleet = voltledger.canvasLayer("voltledger-fleet", 450, drawFleet).addTo(map);
    fitControl(map);
    window.L.control.scale({ position: "bottomright", imperial: false }).addTo(map);
    listen(map);
    const sized = new ResizeObserver(() => state.map === map && map.invalidateSize({ pan: false }));
    sized.observe(map.getContainer());
    map.on("unload", () => sized.disconnect());
    update();
  }

  /** New picture, new filter or new selection. */
  function update() {
    const { picture } = voltledger.live;
    if (!state.map || !picture) return;
    const { lat, lon } = picture.vehicles;
    if (state.lat !== lat || state.lon !== lon) Object.assign(state, { unit: unitPositions(picture.vehicles), lat, lon }); // the columns of before where nobody moved
    fitOnce();
    state.fleet.redraw();
    refreshHover();
  }

  function detach(map) {
    if (state.map === map) Object.assign(state, { map: null, base: null, fleet: null, hovered: null });
  }

  window.addEventListener("voltledger:scheme", () => { state.base?.redraw(); state.fleet?.redraw(); });
  voltledger.fleetMap = {
    update, state,
    /** Asked for: the camera goes to the vehicle, as near as it takes to see it by itself. */
    show(id) {
      const index = voltledger.live.at.get(id);
      if (!state.map || index === undefined) return;
      const { lat, lon } = voltledger.live.picture.vehicles;
      if (lat[index] !== null) state.map.setView([lat[index], lon[index]], Math.max(state.map.getZoom(), FAN_ZOOM), { animate: !calm() });
      state.map.getContainer().scrollIntoView({ behavior: calm() ? "auto" : "smooth", block: "nearest" });
    },
  };
  voltledger.hookMaps = function () {
    if (voltledger.mapsHooked || !window.L) return;
    voltledger.mapsHooked = true;
    window.L.Map.addInitHook(function () {
      this.whenReady(() => setTimeout(() => this.getContainer().closest("#fleet-map-frame") && attach(this), 0));
      this.on("unload", () => detach(this));
    });
  };
  voltledger.hookMaps();
})();
