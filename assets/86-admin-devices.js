// Vehicles, chargers and sites as people describe them: a list of what is there and missing, and a form for each.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin, parts } = voltledger;
  const detail = () => document.getElementById("admin-detail");
  const PERCENT = 100;

  const sites = () => [["", "none"], ...admin.lists.sites.map((one) => [one.siteId, one.name === one.siteId ? one.name : `${one.name} (${one.siteId})`])];
  const judging = (inherits) => () => [["", inherits], ["band", "the expected band"], ["plain", "plain thresholds"]];
  const percent = (ratio) => (ratio === null || ratio === undefined ? null : Number((ratio * PERCENT).toPrecision(12)));
  const thresholds = (row, inherits) => [
    { name: "thresholds", label: "Judged by", kind: "choice", options: judging(inherits), value: row.thresholds },
    { name: "plainLow", label: "Low below", unit: "%", kind: "number", times: PERCENT, value: percent(row.plainLow), hint: `Empty: ${inherits}.` },
    { name: "plainCritical", label: "Critical below", unit: "%", kind: "number", times: PERCENT, value: percent(row.plainCritical), hint: "Less than low." },
  ];
  const position = (row) => [
    { name: "latitude", label: "Latitude", unit: "°", kind: "number", value: row.latitude, hint: "-90 to 90, WGS 84." },
    { name: "longitude", label: "Longitude", unit: "°", kind: "number", value: row.longitude, hint: "-180 to 180." },
  ];
  const judged = ({ thresholds: by, plainLow, plainCritical }) => {
    const own = [plainLow === null ? null : `low < ${percent(plainLow)} %`, plainCritical === null ? null : `critical < ${percent(plainCritical)} %`].filter(Boolean).join(", ");
    return [by === "band" ? "band" : by === "plain" ? "plain" : "", own].filter(Boolean).join(": ");
  };
  const missing = (row, names) => Object.entries(names).filter(([name]) => row[name] === null || row[name] === undefined).map(([, words]) => words).join(", ");
  const at = ({ latitude, longitude }) => (latitude === null ? "" : `${latitude.toFixed(4)}, ${longitude.toFixed(4)}`);
  const PLACED = { meter: "its own, reported", site: "its site's", null: "" };

  const KINDS = {
    vehicles: {
      path: "/v1/vehicles", id: "vehicleId", list: "vehicles", lists: ["vehicles", "sites"], title: "Vehicle", search: "Vehicle, name, model or site", filters: [["undescribed", "Not described"]],
      fields: (row) => [
        { name: "name", label: "Name", value: row.name }, { name: "model", label: "Model", value: row.model, offers: () => [...new Set(admin.lists.vehicles.map((one) => one.model).filter(Boolean))].map((one) => [one]) },
        { name: "siteId", label: "Site", kind: "choice", options: sites, value: row.siteId, wide: true }, ...thresholds(row, "as its site says"),
      ],
      row: (one) => ({ ...one, site: admin.siteName(one.siteId), judged: judged(one), missing: missing(one, { name: "name", model: "model", siteId: "site" }) }),
      words: (row) => [row.placed ? "It reports its own position." : row.meterId ? ["It tells no position, so it is shown at its charger's: ", h("a", { href: `/admin/chargers?charger=${encodeURIComponent(row.meterId)}`, "data-nav": "" }, row.meterId)] : "It tells no position and has no charger, so it is not on the map.", " · ", h("a", { href: parts.vehicleHref(row.vehicleId), "data-nav": "" }, "Open the vehicle")],
      cells: ["vehicleId", "name", "model", "siteId", "thresholds", "plainLow", "plainCritical", "meterId", "recordedAt"],
    },
    chargers: {
      path: "/v1/meters", id: "meterId", list: "meters", lists: ["meters", "sites"], title: "Charger", placed: true, search: "Charger, name or site", filters: [["undescribed", "Not described"], ["unplaced", "Without position"]],
      fields: (row) => [
        { name: "name", label: "Name", value: row.name }, { name: "ratedKw", label: "Rated power", unit: "kW", kind: "number", value: row.ratedKw },
        { name: "siteId", label: "Site", kind: "choice", options: sites, value: row.siteId, wide: true }, ...position(row),
      ],
      row: (one) => ({ ...one, site: admin.siteName(one.siteId), position: one.latitude === null || one.placedBy === "meter" ? PLACED[one.placedBy] : at(one), missing: [missing(one, { name: "name", siteId: "site", ratedKw: "rated kW" }), one.placedBy ? "" : "position"].filter(Boolean).join(", ") }),
      words: (row) => [row.placedBy === "meter" ? "It reports its own position, which is shown; one written down here holds where it reports none." : row.placedBy === "site" ? "It is shown at its site's position until it has one of its own." : row.placedBy ? "" : "It has no position: vehicles at it cannot be shown on the map."],
      cells: ["meterId", "name", "siteId", "ratedKw", "latitude", "longitude", "placedBy", "recordedAt"],
    },
    sites: {
      path: "/v1/sites", id: "siteId", list: "sites", lists: ["sites"], title: "Site", placed: true, search: "Site or name", filters: [["undescribed", "Without place or prices"]],
      fields: (row) => [
        { name: "name", label: "Name", value: row.name, wide: true }, ...position(row),
        { name: "timeZone", label: "Time zone", value: row.timeZone ?? "UTC", offers: () => (window.Intl.supportedValuesOf?.("timeZone") ?? []).map((one) => [one]), hint: "An IANA name like Europe/Berlin.", wide: true },
        { name: "tariffPerKwh", label: "Tariff", unit: `${voltledger.live.picture?.figures?.currency ?? "money"} a kWh`, kind: "number", value: row.tariffPerKwh, hint: "Empty: as the settings say." }, { name: "co2KgPerKwh", label: "CO₂ intensity", unit: "kg a kWh", kind: "number", value: row.co2KgPerKwh, hint: "Empty: as the settings say." },
        ...thresholds(row, "as the settings say"),
      ],
      row: (one) => ({ ...one, position: at(one), judged: judged(one), missing: missing(one, { latitude: "position", tariffPerKwh: "tariff", co2KgPerKwh: "CO₂" }) }),
      words: () => [], cells: ["siteId", "name", "latitude", "longitude", "timeZone", "tariffPerKwh", "co2KgPerKwh", "thresholds", "plainLow", "plainCritical"],
      mounted: () => admin.file.sites(),
    },
  };

  const find = (kind, id) => admin.lists[kind.list].find((one) => one[kind.id] === id);
  function pick(kind, row) {
    const known = find(kind, row.key), one = known ?? {}, fresh = !known, id = row.fresh ? "" : row.key;
    const own = { name: kind.id, label: "Id", value: id, fixed: !fresh, hint: fresh ? "1 to 64 letters, digits and . _ : -" : "", wide: true };
    const form = admin.form({ label: `${kind.title} ${id}`, fields: [own, ...kind.fields(one)], submit: "Save", onSubmit: (values) => save(kind, values, form, one) });
    const words = known ? kind.words(one) : ["Nothing is known of it yet."];
    detail().replaceChildren(
      h("div", { class: "card-head" }, h("div", { class: "grow" }, h("h2", {}, one.name || id || `New ${kind.title.toLowerCase()}`), one.name && id ? h("div", { class: "card-of" }, id) : null)),
      h("p", { class: "admin-words" }, words.flat()), form.element, h("div", { class: "admin-outcome", "aria-live": "polite" }));
    if (kind.placed) admin.place.open(form); else admin.place.hide();
  }

  const shown = (value) => (value === null || value === undefined ? "empty" : String(value));
  async function save(kind, values, form, before) {
    const { [kind.id]: id, ...json } = values;
    if (!id) return form.refuse({ errors: [{ pointer: `/${kind.id}`, detail: "give it an id" }] });
    if (kind === KINDS.sites && json.timeZone === null) json.timeZone = "UTC";
    const { ok, body } = await admin.ask("PUT", `${kind.path}/${encodeURIComponent(id)}`, { json });
    if (!ok) return form.refuse(body);
    const changed = Object.keys(json).filter((name) => (before[name] ?? null) !== (body[name] ?? null)).map((name) => h("li", {}, `${name}: ${shown(before[name])} → `, h("b", {}, shown(body[name]))));
    await admin.refresh(kind.lists);
    admin.list.pick(id);
    const title = h("h3", { tabindex: "-1" }, changed.length ? "Saved" : "Saved; nothing was different");
    detail().querySelector(".admin-outcome").replaceChildren(title, h("ul", { class: "saved" }, changed));
    title.focus();
  }

  for (const [name, kind] of Object.entries(KINDS)) {
    const param = kind.title.toLowerCase();
    admin.tabs[name] = {
      grid: `admin-${name}`, param, search: kind.search, narrow: 1, lists: kind.lists, filters: [["", "All"], ...kind.filters],
      rows: () => admin.lists[kind.list].map((one) => ({ ...kind.row(one), key: one[kind.id], vehicle: one[kind.id], seenMs: admin.ms(one.recordedAt) })),
      shows: (row, show) => !show || (show === "unplaced" ? !row.placedBy : Boolean(row.missing)),
      pick: (row) => pick(kind, row), fresh: () => ({ key: "", fresh: true }), mounted: kind.mounted,
      export: { file: `voltledger-${name}.csv`, names: kind.cells, cells: (row) => kind.cells.map((cell) => row[cell]) },
    };
  }
})();
