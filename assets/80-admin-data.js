// What the admin page knows and asks: the same API as for programs, so that both are told the same. Nothing here draws.
(function () {
  "use strict";
  const { voltledger } = window;
  const PAGE = 10_000; // the most a page of the API holds
  const WHO = "voltledger-who";
  const admin = { lists: { vehicles: [], meters: [], sites: [], timelines: new Map() }, failed: false };

  /** { ok, status, body }; never throws. Where nobody answered, status is 0 and the body says so. */
  admin.ask = async function (method, path, { json, csv } = {}) {
    const headers = json ? { "Content-Type": "application/json" } : csv ? { "Content-Type": "text/csv" } : {};
    try {
      const answer = await window.fetch(path, { method, headers, body: json ? JSON.stringify(json) : csv, cache: "no-store", credentials: "same-origin" });
      const text = await answer.text();
      return { ok: answer.ok, status: answer.status, body: text ? JSON.parse(text) : {} };
    } catch {
      return { ok: false, status: 0, body: { detail: "The server does not answer. Nothing was confirmed; what was typed is still here. Try again." } };
    }
  };
  /** The path with a query of those values that are there. */
  admin.path = function (path, query = {}) {
    const parts = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined && value !== "" && value !== false) parts.set(name, value);
    const text = parts.toString();
    return text ? `${path}?${text}` : path;
  };

  async function every(path, name) {
    const found = [];
    let after = "";
    for (;;) {
      const { ok, body } = await admin.ask("GET", admin.path(path, { limit: PAGE, after }));
      if (!ok) throw new Error(body.detail);
      found.push(...body[name]);
      if (body.next === null) return found;
      after = body.next;
    }
  }
  async function timelines() {
    const { ok, body } = await admin.ask("GET", "/v1/mappings");
    if (!ok) throw new Error(body.detail);
    return new Map(body.mappings.map((one) => [one.vehicleId, one.timeline]));
  }
  const LOADERS = {
    vehicles: () => every("/v1/descriptions/vehicles", "vehicles"),
    meters: () => every("/v1/descriptions/meters", "meters"),
    sites: () => every("/v1/sites", "sites"),
    timelines,
  };
  admin.loaders = LOADERS; // a tab with a list of its own adds how it is read
  const seen = new Map(); // list → what it was read as, so that one that did not change stays the same object
  const same = (name, found) => {
    const text = JSON.stringify(found instanceof Map ? [...found] : found), before = seen.get(name);
    seen.set(name, text);
    return text === before;
  };
  /** Whether these lists were read once, for another tab perhaps. */
  admin.known = (names) => names.every((name) => seen.has(name));
  /** Read these lists anew; false where that failed, and then the old ones stay. */
  admin.load = async function (names) {
    try {
      const found = await Promise.all(names.map((name) => LOADERS[name]()));
      names.forEach((name, i) => { if (!same(name, found[i])) admin.lists[name] = found[i]; });
      admin.failed = false;
    } catch { admin.failed = true; }
    return !admin.failed;
  };

  const now = () => voltledger.live.now() * 1000;
  const ms = (instant) => (instant === null || instant === undefined ? null : Date.parse(instant));
  admin.ms = ms;
  /** The part of a timeline that holds at `at` (ms), or undefined. */
  admin.holds = (timeline, at = now()) => timeline?.find((one) => (one.from === null || ms(one.from) <= at) && (one.to === null || ms(one.to) > at));
  admin.nextAfter = (timeline, at = now()) => timeline?.find((one) => one.from !== null && ms(one.from) > at);
  admin.now = now;

  /** Vehicles on each meter now. */
  admin.onMeters = function () {
    const found = new Map();
    for (const [vehicleId, timeline] of admin.lists.timelines) {
      const meterId = admin.holds(timeline)?.meterId;
      if (meterId) found.set(meterId, [...(found.get(meterId) ?? []), vehicleId]);
    }
    return found;
  };
  admin.siteName = (siteId) => (siteId ? admin.lists.sites.find((one) => one.siteId === siteId)?.name ?? siteId : "");

  // ---- who: remembered by this browser, so that it is typed once ----
  let who = "";
  admin.who = function () {
    if (document.documentElement.dataset.email) return document.documentElement.dataset.email; // whoever is logged in, whatever is typed
    try { return window.localStorage.getItem(WHO) ?? who; } catch { return who; }
  };
  admin.rememberWho = function (name) {
    who = name;
    for (const id of ["admin-field-by", "admin-file-by"]) { const input = document.getElementById(id); if (input && !input.value) input.value = name; }
    try { window.localStorage.setItem(WHO, name); } catch { /* a private window: as long as the page */ }
  };

  // ---- instants: typed and shown in the zone of the page ----
  const UTC = () => voltledger.zone.name() === "UTC";
  /** 24 Nov 2026, 13:05 or, where they matter, with seconds. */
  admin.moment = function (instant) {
    if (instant === null || instant === undefined) return "";
    const at = new Date(instant), seconds = at.getTime() % 60_000 !== 0;
    return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }), timeZone: voltledger.zone.name(), hourCycle: "h23" }).format(at);
  };
  admin.stretch = (from, to) => `${from === null ? "always" : admin.moment(from)} → ${to === null ? "until changed" : admin.moment(to)}`;
  /** What stands in a date field, as RFC 3339; null where nothing does. */
  admin.instant = function (typed) {
    if (!typed) return null;
    const at = new Date(UTC() ? `${typed}Z` : typed);
    return Number.isNaN(at.getTime()) ? typed : at.toISOString().replace(".000Z", "Z");
  };
  /** The other way: an instant as a date field wants it. */
  admin.typed = function (instant) {
    if (!instant) return "";
    const at = new Date(instant), shifted = UTC() ? at : new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
    return shifted.toISOString().slice(0, 19);
  };

  // ---- files ----
  /** Text that a spreadsheet would run is made plain text. */
  const harmless = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value ?? "");
  const cell = (value) => { const text = String(value); return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text; };
  /** Rows as CSV, as they are: what is brought back by the API. */
  admin.csv = (names, rows) => [names, ...rows].map((row) => row.map((value) => cell(value ?? "")).join(",")).join("\r\n") + "\r\n";
  admin.save = function (name, names, rows, { plain = false } = {}) {
    const text = admin.csv(names, plain ? rows : rows.map((row) => row.map(harmless)));
    const link = voltledger.h("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };

  /** The filter and what is picked, in the address, so that it can be sent to a colleague. */
  admin.keepInAddress = function (values) {
    const url = new URL(window.location.href);
    if (!url.pathname.startsWith("/admin")) return;
    for (const [name, value] of Object.entries(values)) if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
    window.history.replaceState(window.history.state, "", url.pathname + url.search);
  };
  admin.fromAddress = (name) => new URLSearchParams(window.location.search).get(name) ?? "";
  voltledger.admin = admin;
})();
