// The list of chargers: rows change by transaction, so that scroll and sort stay where they are; filter and sort live in the address.
(function () {
  "use strict";
  const { voltledger } = window;
  const clientside = window.dash_clientside, { format } = voltledger;
  const byId = (id) => document.getElementById(id);

  const EVERY_MS = 30_000; // as often as the server makes a new list: dashboard/charger_list.py
  const NARROW = ["charger", "rank", "powerKw"];
  const NOTHING = { q: "", verdict: [], site: [], state: null };
  const list = { api: null, rows: new Map(), filter: { ...NOTHING }, asOf: null, askedAt: -Infinity, recoveries: 0, sites: "" };
  let etag = null, sorting = null;

  const STATES = {
    charging: (row) => !row.silent && row.powerKw > 0.5,
    reporting: (row) => !row.silent,
    silent: (row) => row.silent,
    unassigned: (row) => !row.vehicles.length,
    shared: (row) => row.vehicles.length > 1,
    unknown: (row) => row.class === null,
  };
  const has = (text, needle) => Boolean(text) && text.toLowerCase().includes(needle);
  function passes(row) {
    const { q, verdict, site, state } = list.filter, needle = q.trim().toLowerCase();
    if (verdict.length && !verdict.includes(row.kind)) return false;
    if (site.length && !site.includes(row.site)) return false;
    if (state && STATES[state] && !STATES[state](row)) return false;
    return !needle || has(row.id, needle) || has(row.name, needle) || has(row.site, needle) || has(row.who, needle);
  }
  const active = () => Boolean(list.filter.q || list.filter.verdict.length || list.filter.site.length || list.filter.state);

  // ---- rows ----
  function rowsOf(columns) {
    const names = Object.keys(columns);
    return columns.id.map((_, i) => {
      const row = Object.fromEntries(names.map((name) => [name, columns[name][i]]));
      row.kind = row.verdict === null ? null : voltledger.kinds.of(row.verdict, row.severity);
      row.rank = row.kind === null ? 99 : voltledger.kinds.rank(row.kind);
      row.who = row.vehicles.join(" ");
      return row;
    });
  }
  /** What is new, what changed and what went, since the last time. */
  function difference(rows) {
    const add = [], update = [], gone = new Map(list.rows);
    for (const row of rows) {
      const text = JSON.stringify(row), before = list.rows.get(row.id);
      gone.delete(row.id);
      if (before?.text === text) continue;
      (before ? update : add).push(row);
      list.rows.set(row.id, { row, text });
    }
    for (const id of gone.keys()) list.rows.delete(id);
    return { add, update, remove: [...gone.values()].map(({ row }) => row) };
  }

  function shown() {
    const total = list.rows.size, count = active() ? [...list.rows.values()].filter(({ row }) => passes(row)).length : total;
    byId("chargers-count").textContent = active() ? `${format.number(count)} of ${format.number(total)} chargers` : `${format.number(total)} chargers`;
    byId("chargers-clear").hidden = !active();
    byId("chargers-as-of").textContent = list.asOf ? `as of ${format.clock(list.asOf)} ${format.zoneName(list.asOf)}, 24 h up to then` : "";
  }
  function offerSites() {
    const names = [...new Set([...list.rows.values()].map(({ row }) => row.site).filter(Boolean))].sort((a, b) => a.localeCompare(b));
    if (names.join("\n") === list.sites) return;
    list.sites = names.join("\n");
    clientside.set_props("chargers-site", { data: names });
  }
  const open = () => list.api && !list.api.isDestroyed() && byId("chargers-page");

  function show(content) {
    const page = byId("chargers-page");
    if (!page) return;
    if (!content.chargers) { page.dataset.state = "away"; return; }
    Object.assign(list, { content, asOf: content.asOf });
    page.dataset.state = content.chargers.id.length ? "ready" : "empty";
    if (!open()) return;
    const { add, update, remove } = difference(rowsOf(content.chargers));
    if (add.length + update.length + remove.length) list.api.applyTransaction({ add, update, remove });
    offerSites();
    shown();
  }

  async function load() {
    Object.assign(list, { askedAt: performance.now(), recoveries: voltledger.live.recoveries });
    try {
      const answer = await window.fetch("/live/chargers", { cache: "no-store", credentials: "same-origin", headers: etag ? { "If-None-Match": etag } : {} });
      if (answer.status !== 304 && !answer.ok) throw new Error(`HTTP ${answer.status}`);
      if (answer.status !== 304) { etag = answer.headers.get("ETag"); show(await answer.json()); }
    } catch {
      list.askedAt = performance.now() - EVERY_MS + 5_000; // again with the next tick but one; the banner says what is wrong
      if (!list.content && byId("chargers-page")) byId("chargers-page").dataset.state = "away";
    }
  }

  // ---- the address ----
  function keepInAddress() {
    if (window.location.pathname !== "/chargers") return;
    const { q, verdict, site, state } = list.filter, parts = new URLSearchParams();
    if (q) parts.set("q", q);
    if (verdict.length) parts.set("verdict", verdict.join(","));
    site.forEach((name) => parts.append("site", name));
    if (state) parts.set("state", state);
    if (sorting) parts.set("sort", sorting);
    window.history.replaceState(window.history.state, "", `/chargers${parts.size ? `?${parts}` : ""}`);
  }
  /** "-acKwh" is the most first. */
  function sortAsAddressed() {
    sorting = new URLSearchParams(window.location.search).get("sort");
    const colId = sorting?.replace(/^-/, "");
    if (colId && list.api.getColumn(colId)) list.api.applyColumnState({ state: [{ colId, sort: sorting.startsWith("-") ? "desc" : "asc" }], defaultState: { sort: null } });
    else list.api.applyColumnState({ state: [{ colId: "rank", sort: "asc" }], defaultState: { sort: null } });
  }
  function sorted({ source }) {
    if (source === "api") return;
    const by = list.api.getColumnState().find((column) => column.sort);
    sorting = by ? `${by.sort === "desc" ? "-" : ""}${by.colId}` : null;
    keepInAddress();
  }

  function narrow() {
    if (!open()) return;
    const slim = window.innerWidth < 700;
    if (list.slim === slim) return;
    list.slim = slim;
    list.api.setColumnsVisible(list.api.getColumns().map((column) => column.getColId()).filter((id) => !NARROW.includes(id)), !slim);
  }
  window.addEventListener("resize", narrow);

  async function attach() {
    const api = await window.dash_ag_grid.getApiAsync("chargers-table");
    Object.assign(list, { api, rows: new Map(), slim: false, sites: "" });
    api.setGridOption("isExternalFilterPresent", active);
    api.setGridOption("doesExternalFilterPass", (node) => passes(node.data));
    sortAsAddressed();
    api.addEventListener("sortChanged", sorted);
    if (list.content) show(list.content);
    await voltledger.revealed(api, "chargers-table");
    if (list.api === api) narrow();
  }

  Object.assign(clientside.voltledger, {
    chargersMounted() {
      attach();
      return null;
    },
    chargersTick() {
      const back = list.recoveries !== voltledger.live.recoveries;
      if (!document.hidden && (back || performance.now() - list.askedAt >= EVERY_MS)) load();
      else if (open()) list.api.refreshCells({ columns: ["recordedAt"], force: true });
      return null;
    },
    chargersFiltered(q, verdict, site, state) {
      list.filter = { q: q ?? "", verdict: verdict ?? [], site: site ?? [], state: state || null };
      if (!open()) return null; // the address still says how to sort
      keepInAddress();
      list.api.onFilterChanged();
      shown();
      return null;
    },
    chargersCleared(clicks) {
      if (!clicks) return;
      for (const [name, value] of Object.entries(NOTHING)) clientside.set_props(`chargers-${name}`, { value });
    },
    chargersExported(clicks) {
      if (clicks && open()) list.api.exportDataAsCsv({
        fileName: "voltledger-chargers.csv",
        allColumns: true,
        processCellCallback: ({ column, node: { data } }) => voltledger.harmless(CELLS[column.getColId()]?.(data) ?? data[column.getColId()]),
      });
    },
  });
  const iso = (seconds) => (seconds === null ? null : new Date(seconds * 1000).toISOString().replace(".000Z", "Z"));
  const CELLS = { charger: (row) => row.id, rank: (row) => row.kind ?? "", recordedAt: (row) => iso(row.recordedAt) ?? "", who: (row) => (row.more ? `${row.who} +${row.more}` : row.who) };

  // ---- cells ----
  const { createElement: e } = window.React;
  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  const none = (text) => e("span", { className: "is-none" }, text);
  const link = (href, key, ...inside) => e("a", { href, key, "data-nav": "" }, ...inside);

  cells.MeterCell = ({ value }) => (value ? link(voltledger.parts.chargerHref(value), value, value) : none("–"));
  cells.ChargerCell = ({ data }) =>
    e("a", { href: voltledger.parts.chargerHref(data.id), "data-nav": "", className: "cell-vehicle" }, e("span", null, data.name || data.id), data.name && data.name !== data.id ? e("span", { className: "cell-under" }, data.id) : null);
  cells.ChargerKindCell = (props) => (props.data.kind === null ? none("nobody assigned") : cells.KindCell(props));
  cells.ClassCell = ({ data }) => (data.class === null ? none("not known") : e("span", null, data.class, e("span", { className: "unit" }, ` ${data.classFrom}`)));
  cells.VehiclesCell = ({ data }) =>
    data.vehicles.length ? e("span", null, ...data.vehicles.flatMap((id, i) => [i ? ", " : null, link(voltledger.parts.vehicleHref(id), id, id)]), data.more ? ` and ${data.more} more` : null) : none("–");
})();
