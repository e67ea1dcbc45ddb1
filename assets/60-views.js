// The views of the picture that are plain text: header, figures, legend, alerts, side panel. Elements are kept and only their text changes.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, parts, format, live } = voltledger;
  const byId = (id) => document.getElementById(id);
  const views = {};

  function text(element, value) {
    if (element && element.textContent !== value) element.textContent = value;
  }

  /** One child per item, in order; a child is kept as long as its key is there, so that focus and open details stay. */
  function keyed(parent, items, key, make, fill) {
    const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
    const after = items.map((item) => {
      const child = before.get(key(item)) ?? make(item);
      child.dataset.key = key(item);
      fill(child, item);
      return child;
    });
    if (after.length !== parent.children.length || after.some((child, i) => parent.children[i] !== child)) parent.replaceChildren(...after);
  }

  // ---- header ----
  function header() {
    const state = byId("live-state");
    if (!state) return;
    const { picture } = live, stale = live.stale();
    state.className = `live-state ${stale ? "is-stale" : picture ? "is-live" : "is-waiting"}`;
    const at = picture ? `${format.clock(live.asOf)} ${format.zoneName(live.asOf)}` : "";
    text(state.querySelector(".live-word"), stale ? "Stale" : picture ? "Live" : "Connecting");
    text(state.querySelector(".live-time"), picture ? `as of ${at}` : "");
    const banner = byId("stale-banner");
    banner.hidden = !stale;
    text(banner.querySelector(".banner-text"), picture ? `Database unreachable. Data as of ${format.clock(live.asOf, false)} ${format.zoneName(live.asOf)}. The last figures stay until it is back.` : "Database unreachable. Nothing to show yet.");
    const badge = byId("nav-alerts-count");
    badge.hidden = !picture?.figures.alertsToDo;
    text(badge, String(picture?.figures.alertsToDo ?? ""));
  }

  // ---- figures ----
  const WORDS = { not_charging: "not charging", insufficient_data: "too little evidence", unmapped: "no meter", suspect_measurement: "suspect", charged_elsewhere: "charged elsewhere", shared_meter: "shared meter", conditioning: "conditioning" };
  /** How many vehicles the fleet's efficiency leaves out and why: the `most` commonest reasons, the rest as a number. */
  function leftOut(reasons, most) {
    const entries = Object.entries(reasons ?? {}).sort((a, b) => b[1] - a[1]);
    const sum = (list) => list.reduce((total, [, n]) => total + n, 0);
    if (!entries.length) return "no vehicle left out";
    const named = entries.slice(0, most).map(([why, n]) => `${format.number(n)} ${WORDS[why] ?? why}`), rest = sum(entries.slice(most));
    return `${format.number(sum(entries))} left out: ${[...named, ...(rest ? [`${format.number(rest)} other`] : [])].join(", ")}`;
  }
  const FIGURES = {
    reporting: (f) => format.number(f.reporting),
    reportingOf: (f) => `of ${format.number(f.vehicles)} vehicles`,
    meters: (f) => `${format.number(f.metersReporting)} of ${format.number(f.meters)} meters`,
    silent: (f) => format.number(f.silent),
    charging: (f) => format.number(f.charging),
    chargingKw: (f) => `${format.amount(f.chargingKw)} kW into batteries`,
    efficiency: (f) => (format.absent(f.efficiency) ? format.NONE : format.number(f.efficiency * 100, 1)),
    band: (f) => (format.absent(f.expectedLow) ? "no expectation yet" : `expected ${format.band(f.expectedLow, f.expectedHigh)}`),
    counted: (f) => `${format.number(f.counted)} of ${format.number(f.vehicles)} vehicles counted`,
    leftOut: (f) => leftOut(f.leftOut, 1),
    lossKwh: (f) => format.amount(f.lossKwh),
    lossCost: (f) => `${format.money(f.lossCost, f.currency)} · ${format.amount(f.lossCo2Kg)} kg CO₂`,
    lossPrices: (f) => (f.ownPrices ? `own prices of ${format.number(f.ownPrices)} ${f.ownPrices === 1 ? "site" : "sites"}` : ""),
    lossOf: (f) => `of ${format.amount(f.acKwh)} kWh from the grid`,
    alerts: (f) => format.number(f.alerts),
    critical: (f) => (f.alerts ? `${format.number(f.critical)} critical, ${format.number(f.alerts - f.critical)} warning` : views.lowWords("no alert") || "nothing needs anyone"),
    alertsToDo: (f) => (f.alerts ? (f.alertsToDo ? `${format.number(f.alertsToDo)} ${f.alertsToDo === 1 ? "needs" : "need"} someone` : "none needs anyone now") : ""),
    asOf: () => `at ${format.clock(live.asOf)}`,
    window: (_, p) => `24 h to ${format.clock(p.windowTo, false)}`,
  };
  const PRICES = "Each vehicle's loss at the tariff and the grid intensity of the site where it charged; where a site has none, at those of the settings.";
  function figures({ figures: values, ...picture }) {
    for (const element of document.querySelectorAll("[data-figure]")) {
      text(element, FIGURES[element.dataset.figure](values, picture));
      if (element.dataset.figure === "leftOut") element.title = leftOut(values.leftOut, Infinity);
      if (element.dataset.figure === "lossCost") element.title = PRICES;
    }
    for (const card of document.querySelectorAll("[data-attention]")) card.classList.toggle("needs-attention", values[card.dataset.attention] > 0);
    for (const scale of document.querySelectorAll("#fleet-scale")) views.scale(scale, values.efficiency, values.expectedLow, values.expectedHigh);
  }

  /** The little ruler from 60 to 100 %: the expected band and where the value stands. */
  const FROM = 0.6, TO = 1;
  const along = (ratio) => `${Math.min(100, Math.max(0, ((ratio - FROM) / (TO - FROM)) * 100))}%`;
  views.scale = function (scale, ratio, low, high) {
    const [band, mark] = scale.children;
    band.hidden = format.absent(low) || format.absent(high);
    mark.hidden = format.absent(ratio);
    if (!band.hidden) { band.style.left = along(low); band.style.right = `calc(100% - ${along(high)})`; }
    if (!mark.hidden) mark.style.left = along(ratio);
  };

  // ---- legend: also the quickest filter ----
  function legend(picture) {
    const box = byId("map-legend");
    if (!box) return;
    const counts = new Map();
    for (const kind of live.kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const chosen = voltledger.fleet.filter.verdict;
    keyed(box, voltledger.kinds.all.filter(({ kind }) => counts.has(kind) || chosen.includes(kind)), ({ kind }) => kind,
      ({ kind, label }) => h("button", { type: "button", class: "legend-item", onclick: () => toggleKind(kind) }, parts.glyph(kind), h("span", {}, label), h("b", {})),
      (item, { kind }) => { text(item.lastChild, format.number(counts.get(kind) ?? 0)); item.setAttribute("aria-pressed", String(chosen.includes(kind))); });
  }
  function toggleKind(kind) {
    const chosen = voltledger.fleet.filter.verdict;
    window.dash_clientside.set_props("fleet-verdict", { value: chosen.includes(kind) ? chosen.filter((one) => one !== kind) : [...chosen, kind] });
  }

  // ---- alerts that need someone: see 61-alerts-fleet.js ----
  function fact(name, value, unit) {
    return [h("dt", {}, name), h("dd", {}, unit ? parts.quantity(value, unit) : value)];
  }

  // ---- side panel ----
  function panelFacts(v) {
    const none = (value, shown) => (format.absent(value) ? format.NONE : shown);
    return [
      fact("State of charge", none(v.soc, format.number(v.soc, 0)), "%"), fact("Power", none(v.powerKw, format.amount(v.powerKw)), "kW"),
      fact("Battery", none(v.batteryTemp, format.number(v.batteryTemp, 1)), "°C"), fact("Meter", v.meterId ? h("a", { href: parts.chargerHref(v.meterId), "data-nav": true }, v.meterId) : "none assigned"),
      fact("From the grid, 24 h", format.amount(v.acKwh), "kWh"), fact("Into the battery, 24 h", format.amount(v.dcKwh), "kWh"),
    ].flat();
  }
  views.panel = function () {
    const panel = byId("vehicle-panel");
    if (!panel) return;
    const v = voltledger.fleet.selected && live.picture ? live.vehicle(voltledger.fleet.selected) : null;
    panel.hidden = !v;
    byId("alert-panel").hidden = Boolean(v);
    if (!v) return;
    const kind = voltledger.kinds.of(v.verdict, v.severity);
    byId("panel-glyph").className = parts.glyph(kind).className;
    text(byId("panel-name"), v.name || v.id);
    text(byId("panel-under"), [v.name && v.name !== v.id ? v.id : null, v.site].filter(Boolean).join(" · "));
    text(byId("panel-verdict"), voltledger.kinds.label(kind));
    text(byId("panel-efficiency"), format.percent(v.efficiency));
    text(byId("panel-band"), format.absent(v.expectedLow) ? "24 h" : `24 h, expected ${format.band(v.expectedLow, v.expectedHigh)}`);
    text(byId("panel-age"), format.absent(v.recordedAt) ? "Never reported" : `Last reading ${format.age(live.now() - v.recordedAt)} ago`);
    voltledger.refill(byId("panel-facts"), panelFacts(v));
    byId("panel-show").hidden = v.lat === null;
    byId("panel-open").setAttribute("href", parts.vehicleHref(v.id));
  };

  // ---- vehicles without a position ----
  function unplaced({ vehicles }) {
    const box = byId("unplaced");
    if (!box) return;
    const ids = vehicles.id.filter((_, i) => vehicles.lat[i] === null);
    box.hidden = !ids.length;
    text(box.querySelector("summary"), `${format.number(ids.length)} ${ids.length === 1 ? "vehicle has" : "vehicles have"} no position and ${ids.length === 1 ? "is" : "are"} not on the map`);
    keyed(box.querySelector("ul"), ids.slice(0, 200), (id) => id, (id) => h("li", {}, h("a", { href: parts.vehicleHref(id), "data-nav": "" }, live.vehicle(id).name || id)), () => {});
  }

  function shownCount() {
    const { fleet } = voltledger, total = live.picture.vehicles.id.length;
    text(byId("fleet-count"), fleet.active() ? `${format.number(fleet.count)} of ${format.number(total)} vehicles` : `${format.number(total)} vehicles`);
    const clear = byId("fleet-clear");
    if (clear) clear.hidden = !fleet.active();
  }

  /** Everything on the fleet page that follows picture, filter or selection. */
  views.fleet = function () {
    const page = byId("fleet-page");
    if (!page || !live.picture) return;
    page.dataset.state = live.picture.vehicles.id.length ? "ready" : "empty";
    shownCount();
    legend(live.picture);
    views.alertList(live.picture);
    unplaced(live.picture);
    views.panel();
    voltledger.table.update();
    voltledger.fleetMap.update();
  };

  /** What grows old although nothing changed. */
  views.ages = function () {
    header();
    for (const element of document.querySelectorAll("[data-figure=asOf]")) text(element, FIGURES.asOf());
    if (!byId("fleet-page")) return;
    views.panel();
    voltledger.table.ages();
  };

  views.all = function () {
    header();
    for (const origin of document.querySelectorAll("[data-origin]")) text(origin, window.location.origin);
    if (!live.picture) {
      for (const page of document.querySelectorAll("[data-state=loading]")) if (live.failing) page.dataset.state = "away";
      return;
    }
    for (const page of document.querySelectorAll("[data-state=away]")) page.dataset.state = "loading";
    figures(live.picture);
  };

  Object.assign(views, { text, keyed });
  voltledger.views = views;
  live.watch(views.all);
})();
