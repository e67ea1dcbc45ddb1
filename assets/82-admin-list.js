// The searchable list of each tab: rows in the grid, search and filter in the address, a row is picked by click or with Enter.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin } = voltledger;
  const byId = (id) => document.getElementById(id);
  const TYPING_MS = 150; // as the fleet's search waits
  const SET_UP_MS = 800;
  const MINUTE_MS = 60_000; // what is planned begins without anybody changing it
  const list = { api: null, rows: [], q: "", show: "", picked: "" };

  const text = (row) => row.words ??= [row.key, row.vehicle, row.name, row.meterId, row.site, row.model].filter(Boolean).join("\n").toLowerCase();
  const passes = (row) => list.of.shows(row, list.show) && (!list.q || text(row).includes(list.q.toLowerCase()));
  const alive = () => list.api && !list.api.isDestroyed();

  function filtered() {
    admin.keepInAddress({ q: list.q, show: list.show });
    if (alive()) list.api.onFilterChanged();
    count();
  }
  function count() {
    const many = list.rows.filter(passes).length;
    const box = byId("admin-count");
    if (box) box.textContent = voltledger.format.number(many);
  }

  function controls() {
    const search = h("input", { type: "search", id: "admin-q", placeholder: list.of.search, "aria-label": list.of.search, autocomplete: "off" });
    search.value = list.q;
    search.addEventListener("input", () => {
      clearTimeout(list.typing);
      list.typing = setTimeout(() => { list.q = search.value.trim(); filtered(); }, TYPING_MS);
    });
    const chips = list.of.filters.map(([value, label]) => h("button", {
      type: "button", class: "chip", "aria-pressed": String(value === list.show), "data-show": value,
      onclick: () => { list.show = value; chips.forEach((chip) => chip.setAttribute("aria-pressed", String(chip.dataset.show === value))); filtered(); },
    }, label, h("b", {})));
    byId("admin-filter").replaceChildren(search, h("div", { class: "chips", role: "group", "aria-label": "Show" }, chips));
  }
  function chipCounts() {
    for (const chip of document.querySelectorAll("#admin-filter .chip")) chip.querySelector("b").textContent = voltledger.format.number(list.rows.filter((row) => list.of.shows(row, chip.dataset.show)).length);
  }

  function mark() {
    if (!alive()) return;
    const node = list.picked && list.api.getRowNode(list.picked);
    if (node) { node.setSelected(true, true); list.api.ensureNodeVisible(node); } else list.api.deselectAll();
  }
  list.pick = function (key, { focus = false } = {}) {
    list.picked = key;
    admin.keepInAddress({ [list.of.param]: key });
    mark();
    const row = list.rows.find((one) => one.key === key);
    byId("admin-detail-empty").hidden = Boolean(key);
    if (key) list.of.pick(row ?? { key, unknown: true }); else { byId("admin-detail").replaceChildren(); admin.place?.hide(); }
    if (focus) byId("admin-detail").querySelector("input:not([readonly]), select, button")?.focus();
  };

  /** Rows as they are now: the grid keeps its place, its order and what is picked. */
  list.fill = function () {
    const from = [voltledger.zone.name(), Math.floor(admin.now() / MINUTE_MS), ...list.of.lists.map((name) => admin.lists[name])];
    if (list.from?.every((one, i) => one === from[i])) return mark();
    list.from = from;
    list.rows = list.of.rows();
    if (alive()) list.api.setGridOption("rowData", list.rows);
    chipCounts();
    count();
    mark();
  };

  /** Takes hold of a tab's grid. `of`: { grid, param, search, filters, rows(), shows(row, show), pick(row), file, export }. */
  list.attach = async function (of) {
    Object.assign(list, { of, api: null, rows: [], from: null, q: admin.fromAddress("q"), show: admin.fromAddress("show"), picked: admin.fromAddress(of.param) });
    if (!of.filters.some(([value]) => value === list.show)) list.show = "";
    controls();
    const api = await window.dash_ag_grid.getApiAsync(of.grid);
    if (list.of !== of) return;
    list.api = api;
    api.setGridOption("isExternalFilterPresent", () => Boolean(list.q || list.show) || list.of.hidden);
    api.setGridOption("doesExternalFilterPass", (node) => passes(node.data));
    api.addEventListener("rowClicked", ({ data }) => list.pick(data.key));
    api.addEventListener("cellKeyDown", ({ event, data }) => event.key === "Enter" && list.pick(data.key, { focus: true }));
    // the grid forgets the selection while it is still being set up
    api.addEventListener("modelUpdated", () => setTimeout(remark, 0));
    api.setGridOption("rowData", list.rows);
    mark();
    voltledger.revealed(api, of.grid).then(() => list.api === api && narrow());
    setTimeout(remark, SET_UP_MS);
  };
  /** The row that is picked looks so; the list stays where it is scrolled to. */
  function remark() {
    const node = alive() && list.picked && list.api.getRowNode(list.picked);
    if (node && !node.isSelected()) node.setSelected(true, true);
  }
  function narrow() {
    if (!alive()) return;
    const slim = window.innerWidth < 760, all = list.api.getColumns().map((column) => column.getColId());
    list.api.setColumnsVisible(all.slice(list.of.narrow), !slim);
    if (slim) list.api.sizeColumnsToFit();
  }
  window.addEventListener("resize", narrow);

  list.export = function () {
    const { names, cells, file } = list.of.export;
    admin.save(file, names, list.rows.filter(passes).map(cells));
  };
  admin.list = list;

  const { createElement: e } = window.React;
  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  cells.AdminNameCell = ({ data }) => e("span", { className: "cell-name" }, e("span", null, data.vehicle), data.name && data.name !== data.vehicle ? e("small", null, data.name) : null);
  cells.AdminMomentCell = ({ value }) => (value === null || value === undefined ? e("span", { className: "is-none" }, "–") : value === -Infinity ? "always" : admin.moment(value));
})();
