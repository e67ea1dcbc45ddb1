// What is shown of the fleet, in which order, and which vehicle is chosen: one filter for map and table, kept in the address.
(function () {
  "use strict";
  const { voltledger } = window;
  const NOTHING = { q: "", verdict: [], site: [], state: null };
  const fleet = { filter: { ...NOTHING }, sort: null, shown: new Uint8Array(0), count: 0, version: 0, selected: null };

  const STATES = {
    reporting: (v, i) => !v.silent[i],
    silent: (v, i) => v.silent[i],
    charging: (v, i) => v.charging[i],
    idle: (v, i) => !v.charging[i] && !v.silent[i],
    unplaced: (v, i) => v.lat[i] === null,
  };

  const has = (text, needle) => Boolean(text) && text.toLowerCase().includes(needle);

  function passes(vehicles, i, { verdict, site, state }, needle) {
    if (verdict.length && !verdict.includes(voltledger.live.kind(i))) return false;
    if (site.length && !site.includes(vehicles.site[i])) return false;
    if (state && STATES[state] && !STATES[state](vehicles, i)) return false;
    return !needle || has(vehicles.id[i], needle) || has(vehicles.name[i], needle) || has(vehicles.site[i], needle) || has(vehicles.meterId[i], needle);
  }

  /** Works out what is shown; a new version only where that changed, since the table then filters all its rows. */
  function apply() {
    const vehicles = voltledger.live.picture?.vehicles;
    if (!vehicles) return;
    const needle = fleet.filter.q.trim().toLowerCase();
    const shown = new Uint8Array(vehicles.id.length);
    let count = 0, same = shown.length === fleet.shown.length;
    for (let i = 0; i < shown.length; i++) {
      shown[i] = passes(vehicles, i, fleet.filter, needle);
      count += shown[i];
      same &&= shown[i] === fleet.shown[i];
    }
    Object.assign(fleet, { shown, count, version: same ? fleet.version : fleet.version + 1 });
  }

  /** The filter as a query, in the order in which a person would read it. */
  function query() {
    const { q, verdict, site, state } = fleet.filter, parts = new URLSearchParams();
    if (q) parts.set("q", q);
    if (verdict.length) parts.set("verdict", verdict.join(","));
    site.forEach((name) => parts.append("site", name));
    if (state) parts.set("state", state);
    if (fleet.sort) parts.set("sort", fleet.sort);
    if (fleet.selected) parts.set("vehicle", fleet.selected);
    const text = parts.toString();
    return text ? `?${text}` : "";
  }
  /** Straight into the address: through Dash's own location the whole page would be drawn again. */
  function keepInAddress() {
    if (window.location.pathname === "/") window.history.replaceState(window.history.state, "", `/${query()}`);
  }

  /** A column's id, with a minus before it for the highest first; null is the order of the verdicts, worst first. */
  fleet.setSort = function (sort) {
    fleet.sort = sort === "rank" ? null : sort;
    keepInAddress();
  };
  /** Read as soon as the address changed, since a filter that is set before the table is there writes it anew. */
  function sortAsAddressed() {
    if (window.location.pathname === "/") fleet.sort = new URLSearchParams(window.location.search).get("sort");
  }
  for (const kind of ["popstate", "_dashprivate_pushstate"]) window.addEventListener(kind, sortAsAddressed);
  sortAsAddressed();

  fleet.active = () => Boolean(fleet.filter.q || fleet.filter.verdict.length || fleet.filter.site.length || fleet.filter.state);

  fleet.setFilter = function (filter) {
    fleet.filter = { ...NOTHING, ...filter };
    apply();
    fleet.version += 1; // whether a filter is active may have changed although the vehicles did not
    keepInAddress();
    voltledger.views.fleet();
  };

  fleet.select = function (id) {
    if (id === fleet.selected) return;
    fleet.selected = id;
    keepInAddress();
    window.dash_clientside.set_props("fleet-selected", { data: id });
    voltledger.fleetMap.update();
    voltledger.table.mark(id);
    voltledger.views.panel();
  };

  /** Chooses the vehicle of that id or name, else the first that the table shows for these words. Whether there is one. */
  fleet.find = function (words) {
    if (words !== fleet.filter.q) fleet.setFilter({ ...fleet.filter, q: words });
    const { id, name } = voltledger.live.picture?.vehicles ?? { id: [], name: [] }, needle = words.trim().toLowerCase();
    const exact = id.findIndex((one, i) => fleet.shown[i] && (one.toLowerCase() === needle || name[i]?.toLowerCase() === needle));
    const found = exact < 0 ? voltledger.table.first() : id[exact];
    if (found) fleet.select(found);
    return Boolean(found);
  };

  /** Puts a filter into the controls; these then set the filter. */
  fleet.fill = function (filter) {
    const { set_props: set } = window.dash_clientside, wanted = { ...NOTHING, ...filter };
    set("fleet-q", { value: wanted.q });
    set("fleet-verdict", { value: wanted.verdict });
    set("fleet-site", { value: wanted.site });
    set("fleet-state", { value: wanted.state });
  };

  fleet.fromQuery = function (search) {
    const parts = new URLSearchParams(search);
    return { q: parts.get("q") ?? "", verdict: (parts.get("verdict") ?? "").split(",").filter(Boolean), site: parts.getAll("site"), state: parts.get("state") };
  };

  let sites = "";
  function offerSites({ site }) {
    const names = [...new Set(site.filter(Boolean))].sort((a, b) => a.localeCompare(b));
    const text = names.join("\n");
    if (text === sites && !fleet.fresh) return;
    sites = text;
    window.dash_clientside.set_props("fleet-site", { data: names });
  }

  voltledger.live.watch(({ picture }) => {
    if (!picture || !document.getElementById("fleet-page")) return;
    apply();
    offerSites(picture.vehicles);
    fleet.fresh = false;
    voltledger.views.fleet();
  });

  voltledger.fleet = fleet;
})();
