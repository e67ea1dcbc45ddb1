// The ingestion page: when it is due, its filters in the address, and the calendar of gaps as a grid that the keyboard walks.
(function () {
  "use strict";
  const { voltledger } = window, { h, format } = voltledger;
  const byId = (id) => document.getElementById(id);
  const HOUR_MS = 3600_000, EVERY_S = 60;
  let drawnAt = null, drawnAfter = 0; // when the page was last due, and after how many recoveries

  // ---- calendar ----
  let calendar = null, focused = [0, 0];
  const level = (due) => (due < 0 ? "unknown" : due >= 100 ? "all" : due >= 90 ? "most" : due >= 50 ? "some" : due > 0 ? "few" : "none");
  const inZone = (options) => new Intl.DateTimeFormat("en-GB", { ...options, timeZone: voltledger.zone.name(), hourCycle: "h23" });

  function words(row, hour) {
    const from = calendar.start + hour * HOUR_MS, readings = row.readings[hour], due = row.due[hour];
    const day = inZone({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(from);
    const when = `${day}–${format.clock(Math.min(from + HOUR_MS, calendar.now), false)} ${voltledger.zone.name()}`;
    const came = readings < 0 ? "had not reported yet" : due < 0 ? `began to report: ${format.number(readings)} readings` : `${format.number(readings)} ${readings === 1 ? "reading" : "readings"}, ${due} % of those due (one every ${format.age(row.rhythmS)})`;
    return [row.name, when, came];
  }

  function tip(cell) {
    let box = byId("gap-tip");
    if (!cell) { box?.remove(); return; }
    if (!box) { box = h("div", { id: "gap-tip", class: "map-tip gap-tip", role: "presentation" }); byId("ingestion-calendar").append(box); }
    const [name, when, came] = words(calendar.rows[cell.dataset.row], Number(cell.dataset.hour));
    box.replaceChildren(h("div", { class: "map-tip-title" }, name), h("div", { class: "map-tip-under" }, when), h("div", {}, came));
    const frame = byId("ingestion-calendar").getBoundingClientRect(), at = cell.getBoundingClientRect();
    const left = Math.max(4, Math.min(at.left - frame.left - box.offsetWidth / 2, frame.width - box.offsetWidth - 4));
    const above = at.top - frame.top - box.offsetHeight - 8;
    box.style.transform = `translate(${left}px, ${above > 0 ? above : at.bottom - frame.top + 8}px)`;
  }

  /** The device's page with the 24 hours that end with this hour. */
  function open(cell) {
    const end = Math.min(calendar.start + (Number(cell.dataset.hour) + 1) * HOUR_MS, calendar.now);
    voltledger.go(`${calendar.rows[cell.dataset.row].href}?at=${new Date(end).toISOString().slice(0, 19)}Z`);
  }

  const cellAt = (row, hour) => byId("ingestion-calendar")?.querySelector(`[data-row="${row}"][data-hour="${hour}"]`);
  function hold(row, hour, focus) {
    const before = cellAt(...focused), now = cellAt(row, hour);
    if (!now) return;
    before?.setAttribute("tabindex", "-1");
    now.setAttribute("tabindex", "0");
    now.setAttribute("aria-label", words(calendar.rows[row], hour).join(", "));
    focused = [row, hour];
    if (focus) now.focus();
  }
  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], PageUp: [0, -24], PageDown: [0, 24], Home: [0, -Infinity], End: [0, Infinity] };
  function walk(event) {
    const cell = event.target.closest("[data-hour]");
    if (!cell) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(cell); return; }
    if (event.key === "Escape") tip(null);
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const most = calendar.rows[0].due.length - 1, clamp = (value, last) => Math.max(0, Math.min(last, value));
    hold(clamp(focused[0] + step[0], calendar.rows.length - 1), clamp(focused[1] + step[1], most), true);
  }

  /** Which hours begin a day in the viewer's zone. */
  function midnights() {
    const hours = inZone({ hour: "2-digit" });
    return calendar.rows[0].due.map((_, hour) => hours.format(calendar.start + hour * HOUR_MS) === "00");
  }

  function rowOf(row, n, begins) {
    const cells = row.due.map((due, hour) =>
      h("i", { role: "gridcell", tabindex: "-1", "data-row": n, "data-hour": hour, class: `is-${level(due)}${begins[hour] ? " is-midnight" : ""}` }));
    const link = h("a", { href: row.href, "data-nav": "", title: row.id }, row.name);
    return h("div", { role: "row", class: "gap-row" }, h("div", { role: "rowheader", class: "gap-name" }, link, row.site ? h("small", {}, row.site) : null), ...cells);
  }

  function axis(begins) {
    const day = inZone({ weekday: "short", day: "numeric", month: "short" });
    const names = begins.map((begin, hour) => (begin || (hour === 0 && !begins.slice(0, 12).some(Boolean)) ? h("span", { style: null, "data-column": hour + 2 }, day.format(calendar.start + hour * HOUR_MS)) : null)).filter(Boolean);
    for (const name of names) name.style.gridColumn = `${name.dataset.column} / span 24`;
    return h("div", { class: "gap-row gap-axis", "aria-hidden": "true" }, h("div", { class: "gap-name" }, voltledger.zone.name()), ...names);
  }

  function draw(data) {
    const box = byId("ingestion-calendar");
    if (!box) return;
    calendar = data;
    byId("gap-pages").textContent = `${format.number(data.devices)} ${data.devices === 1 ? "device" : "devices"}, page ${format.number(data.page)} of ${format.number(data.pages)}`;
    byId("ingestion-previous").disabled = data.page <= 1;
    byId("ingestion-next").disabled = data.page >= data.pages;
    if (!data.rows.length) { box.replaceChildren(h("p", { class: "card-empty" }, "No device that ever reported matches. Clear site or search, or choose the other kind.")); return; }
    const begins = midnights(), had = box.contains(document.activeElement) && document.activeElement.dataset.hour !== undefined;
    const scrolled = box.querySelector(".gap-scroll")?.scrollLeft;
    const grid = h("div", { role: "grid", class: "gap-grid", "aria-label": "Readings by device and hour" }, ...data.rows.map((row, n) => rowOf(row, n, begins)));
    const scroll = h("div", { class: "gap-scroll" }, axis(begins), grid);
    box.replaceChildren(scroll);
    scroll.scrollLeft = scrolled ?? scroll.scrollWidth;
    const last = data.rows[0].due.length - 1;
    hold(had ? Math.min(focused[0], data.rows.length - 1) : 0, had ? Math.min(focused[1], last) : last, had);
    grid.addEventListener("keydown", walk);
    grid.addEventListener("click", (event) => { const cell = event.target.closest("[data-hour]"); if (cell) open(cell); });
    for (const kind of ["mouseover", "focusin"]) grid.addEventListener(kind, (event) => tip(event.target.closest("[data-hour]")));
    for (const kind of ["mouseleave", "focusout"]) grid.addEventListener(kind, () => tip(null));
  }

  // ---- address ----
  function address(values) {
    if (window.location.pathname !== "/ingestion") return;
    const url = new URL(window.location.href);
    for (const [name, value] of Object.entries(values)) if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
    window.history.replaceState(window.history.state, "", url.pathname + url.search + url.hash);
    const file = byId("gap-head")?.querySelector("a.button");
    if (!file) return;
    const query = new URLSearchParams({ format: "csv", side: url.searchParams.get("side") ?? "vehicle", page: url.searchParams.get("page") ?? "1" });
    for (const [ours, theirs] of [["site", "siteId"], ["q", "q"]]) if (url.searchParams.get(ours)) query.set(theirs, url.searchParams.get(ours));
    file.setAttribute("href", `/v1/ingestion/gaps?${query}`);
  }

  let filters = null;
  Object.assign(window.dash_clientside.voltledger, {
    /** A number that grows once a minute, when the database came back, and with every tick while nobody has reported. */
    ingestionDue(_, before) {
      const now = window.performance.now() / 1000, { recoveries } = voltledger.live;
      const waits = ["empty", "away", "loading"].includes(byId("ingestion-page")?.dataset.state);
      if (before !== null && before !== undefined && recoveries === drawnAfter && !waits && now - drawnAt < EVERY_S) return window.dash_clientside.no_update;
      [drawnAt, drawnAfter] = [now, recoveries];
      return (before ?? 0) + 1;
    },
    ingestionPainted(parts) {
      if (parts) voltledger.paint(parts, Object.keys(parts));
      voltledger.views.all();
      return null;
    },
    ingestionCalendar(data) {
      if (data) draw(data);
      return null;
    },
    /** Filters in the address; another choice begins with the first page. */
    ingestionFiltered(side, site, q, disk, page) {
      const chosen = JSON.stringify([side, site || "", q || ""]);
      const number = filters === null || filters === chosen || !byId("ingestion-calendar")?.childElementCount ? page.page : 1;
      const same = filters === chosen;
      filters = chosen;
      address({ side: side === "vehicle" ? null : side, site, q, disk, page: number > 1 ? String(number) : null });
      return same ? window.dash_clientside.no_update : { page: number, chosen };
    },
    ingestionTurned(previous, next, page, data) {
      const back = window.dash_clientside.callback_context.triggered_id === "ingestion-previous";
      const number = Math.max(1, Math.min(data?.pages ?? 1, page.page + (back ? -1 : 1)));
      if (!(back ? previous : next) || number === page.page) return window.dash_clientside.no_update;
      address({ page: number > 1 ? String(number) : null });
      return { ...page, page: number };
    },
  });
})();
