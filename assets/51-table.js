// The table of vehicles: rows change by transaction, so that scroll, sort and selection stay where they are.
(function () {
  "use strict";
  const { voltledger } = window;
  const COLUMNS = ["id", "name", "site", "meterId", "soc", "powerKw", "recordedAt", "efficiency", "expectedLow", "expectedHigh", "acKwh", "dcKwh", "lossKwh", "silent", "charging"];
  const NARROW = ["vehicle", "rank", "efficiency"];
  const table = { api: null, rows: new Map() };

  function rowOf(vehicles, i) {
    const row = {};
    for (const name of COLUMNS) row[name] = vehicles[name][i];
    row.kind = voltledger.live.kind(i);
    row.rank = voltledger.kinds.rank(row.kind);
    return row;
  }
  function changed(row, vehicles, i) {
    for (const name of COLUMNS) if (row[name] !== vehicles[name][i]) return true;
    return row.kind !== voltledger.live.kind(i);
  }

  /** What changed since the last time, where that was the picture before this one and the vehicles are the same. */
  function changes({ vehicles }) {
    const update = [];
    let moved = false;
    for (const i of voltledger.live.changed) {
      const before = table.rows.get(vehicles.id[i]);
      if (!changed(before, vehicles, i)) continue;
      const row = rowOf(vehicles, i);
      update.push(row);
      moved ||= before.rank !== row.rank;
      table.rows.set(row.id, row);
    }
    return { add: [], update, remove: [], moved };
  }

  /** What is new, what changed and what went, since the last time. */
  function difference(picture) {
    const { live } = voltledger;
    if (live.changed && table.serial === live.serial - 1) return changes(picture);
    return compared(picture);
  }
  function compared({ vehicles }) {
    const add = [], update = [], gone = new Set(table.rows.keys());
    let moved = false;
    vehicles.id.forEach((id, i) => {
      const before = table.rows.get(id);
      gone.delete(id);
      if (before && !changed(before, vehicles, i)) return;
      const row = rowOf(vehicles, i);
      (before ? update : add).push(row);
      moved ||= Boolean(before) && before.rank !== row.rank;
      table.rows.set(id, row);
    });
    const remove = [...gone].map((id) => table.rows.get(id));
    remove.forEach((row) => table.rows.delete(row.id));
    return { add, update, remove, moved };
  }

  function narrow() {
    const slim = table.api.getGridOption("context")?.slim, now = window.innerWidth < 700;
    if (slim === now || !document.getElementById("fleet-table")?.offsetWidth) return; // an empty fleet hides it
    table.api.setGridOption("context", { slim: now });
    const all = table.api.getColumns().map((column) => column.getColId());
    table.api.setColumnsVisible(all.filter((id) => !NARROW.includes(id)), !now);
    // of what remains the longest verdict is written out
    if (now) table.api.sizeColumnsToFit({ columnLimits: [{ key: "rank", minWidth: 166 }] });
  }

  table.update = function () {
    const { picture } = voltledger.live;
    if (!table.api || !picture || table.api.isDestroyed()) return;
    narrow();
    if (table.of !== picture) {
      table.of = picture;
      const { add, update, remove, moved } = difference(picture);
      table.serial = voltledger.live.serial;
      if (add.length + update.length + remove.length) table.api.applyTransaction({ add, update, remove });
      // rows keep their places while only numbers change: nothing jumps under the reader's eyes
      if (moved && !voltledger.fleet.sort) table.api.refreshClientSideRowModel("sort");
      table.ages();
    }
    // the grid forgets the selection while it is still being set up
    const chosen = voltledger.fleet.selected && table.api.getRowNode(voltledger.fleet.selected);
    if (chosen && !chosen.isSelected()) table.mark(voltledger.fleet.selected);
    if (table.version !== voltledger.fleet.version) {
      table.version = voltledger.fleet.version;
      table.api.onFilterChanged();
    }
  };

  table.ages = () => table.api && !table.api.isDestroyed() && table.api.refreshCells({ columns: ["recordedAt"], force: true });

  table.mark = function (id) {
    const node = id && table.api && !table.api.isDestroyed() ? table.api.getRowNode(id) : null;
    if (!table.api || table.api.isDestroyed()) return;
    if (node) { node.setSelected(true, true); table.api.ensureNodeVisible(node); } else table.api.deselectAll();
  };

  /** The id in the first row, if there is one. */
  table.first = () => table.api?.getDisplayedRowAtIndex(0)?.data.id ?? null;

  /** As the address says it: `-lossKwh` has the highest first. What names no column is the order of the verdicts. */
  table.sortBy = function (sort) {
    const colId = sort?.replace(/^-/, ""), known = colId && table.api.getColumn(colId);
    table.api.applyColumnState({ state: [known ? { colId, sort: sort.startsWith("-") ? "desc" : "asc" } : { colId: "rank", sort: "asc" }], defaultState: { sort: null } });
  };
  function sorted({ source }) {
    if (source === "api") return;
    const by = table.api.getColumnState().filter((column) => column.sort).sort((a, b) => a.sortIndex - b.sortIndex)[0];
    voltledger.fleet.setSort(by ? `${by.sort === "desc" ? "-" : ""}${by.colId}` : null);
  }

  /** The grid keeps its cells invisible until all columns have their width, and gives up where some go meanwhile: waits until it shows them. */
  voltledger.revealed = async function (api, id) {
    const waits = () => document.getElementById(id)?.querySelector(".ag-delay-render");
    for (let frame = 0; frame < 30 && !api.isDestroyed() && waits(); frame++) await new Promise((done) => requestAnimationFrame(done));
    waits()?.classList.remove("ag-delay-render");
  };

  /** Called when the page was drawn: takes hold of the grid. */
  table.attach = async function () {
    const api = await window.dash_ag_grid.getApiAsync("fleet-table");
    Object.assign(table, { api, rows: new Map(), of: null, serial: null, version: null });
    api.setGridOption("isExternalFilterPresent", () => voltledger.fleet.active());
    api.setGridOption("doesExternalFilterPass", (node) => Boolean(voltledger.fleet.shown[voltledger.live.at.get(node.data.id)]));
    api.addEventListener("rowClicked", ({ data }) => voltledger.fleet.select(data.id));
    api.addEventListener("cellKeyDown", ({ data, event }) => ["Enter", " "].includes(event.key) && event.target.tagName !== "A" && voltledger.fleet.select(data.id));
    table.sortBy(voltledger.fleet.sort);
    api.addEventListener("sortChanged", sorted);
    await voltledger.revealed(api, "fleet-table");
    if (table.api !== api || api.isDestroyed()) return;
    narrow();
    table.update();
  };
  window.addEventListener("resize", () => table.api && !table.api.isDestroyed() && narrow());

  /** Text that a spreadsheet would run is made plain text. */
  const harmless = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value ?? "");
  table.download = () => table.api?.exportDataAsCsv({
    fileName: "voltledger-vehicles.csv",
    allColumns: true,
    processCellCallback: ({ column, node }) => harmless({ vehicle: node.data.id, rank: node.data.kind }[column.getColId()] ?? node.data[column.getColId()]),
  });
  Object.assign(voltledger, { table, harmless });

  // ---- cells ----
  const { createElement: e } = window.React;
  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  const unit = (value, text, absent) => (absent ? e("span", { className: "is-none" }, "–") : e("span", { className: "quantity" }, value, e("span", { className: "unit" }, ` ${text}`)));
  const { format } = voltledger;

  cells.VehicleCell = ({ data }) =>
    e("a", { href: voltledger.parts.vehicleHref(data.id), "data-nav": "", className: "cell-vehicle" }, e("span", null, data.name || data.id), data.name && data.name !== data.id ? e("span", { className: "cell-under" }, data.id) : null);
  cells.KindCell = ({ data }) =>
    e("span", { className: "verdict" }, e("span", { className: `glyph glyph-${voltledger.kinds.shape(data.kind)} kind-${data.kind}`, "aria-hidden": true }), voltledger.kinds.label(data.kind));
  cells.PercentCell = ({ value, colDef }) => unit(format.number(value === null ? null : value * (colDef.cellRendererParams?.times ?? 1), colDef.cellRendererParams?.digits ?? 0), "%", value === null);
  cells.BandCell = ({ data }) => unit(format.band(data.expectedLow, data.expectedHigh).replace(" %", ""), "%", data.expectedLow === null);
  cells.AmountCell = ({ value, colDef }) => unit(format.amount(value), colDef.cellRendererParams.unit, value === null);
  cells.AgeCell = ({ data }) =>
    data.recordedAt === null ? e("span", { className: "is-none" }, "never") : e("span", { className: data.silent ? "is-silent" : null, title: format.moment(data.recordedAt * 1000) }, `${format.age(voltledger.live.now() - data.recordedAt)} ago`);
})();
