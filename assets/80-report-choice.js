// Which report is meant: as a choice, as the page's address, and as a request to the API. Nothing here touches the page.
(function () {
  "use strict";
  const { voltledger } = window;
  const HOUR_MS = 3_600_000, DAY_MS = 24 * HOUR_MS;
  const LAST = { "24h": { label: "24 h", ms: DAY_MS }, "7d": { label: "7 d", ms: 7 * DAY_MS }, "30d": { label: "30 d", ms: 30 * DAY_MS } };
  const REPORTS = {
    summaries: {
      label: "Summaries", says: "A row per vehicle: energy, efficiency, loss, verdict.",
      path: "/v1/reports/summaries", preview: "/v1/reports/summaries/preview", formats: ["csv", "parquet", "json"],
    },
    sessions: {
      label: "Charging sessions", says: "A row per session that ended in the window.",
      path: "/v1/reports/sessions", preview: "/v1/reports/sessions/preview", formats: ["csv", "parquet", "json"],
    },
    sites: { label: "Energy by site", says: "A row per site. A month of a large fleet takes a minute.", path: "/v1/analytics/sites", preview: null, formats: ["csv"] },
  };
  const WINDOWS = { now: "Ending now", at: "Ending at", day: "A day", range: "From – to" };
  const NOTHING = {
    report: "summaries", window: "now", last: "24h", from: "", to: "", day: "", zone: "UTC", verdict: [], site: [], vehicleId: [],
    format: "csv", separator: "comma", decimal: "point", bom: false,
  };
  const ONE_OF = { report: Object.keys(REPORTS), window: Object.keys(WINDOWS), last: Object.keys(LAST), separator: ["comma", "semicolon"], decimal: ["point", "comma"] };

  // ---- instants and clocks ----
  const clocks = new Map();
  function clockOf(zone) {
    const parts = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
    if (!clocks.has(zone)) clocks.set(zone, new Intl.DateTimeFormat("en-GB", { ...parts, timeZone: zone, hourCycle: "h23" }));
    return clocks.get(zone);
  }
  /** How far the zone's clocks are ahead of UTC at an instant, ms. Throws RangeError for an unknown zone. */
  function offset(ms, zone) {
    const at = Object.fromEntries(clockOf(zone).formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    return Date.UTC(at.year, at.month - 1, at.day, at.hour, at.minute, at.second) - Math.floor(ms / 1000) * 1000;
  }
  const known = (zone) => { try { return Boolean(clockOf(zone)); } catch { return false; } };
  const z = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");
  /** The instant, in ms, of a time on the zone's clocks; the first of two, and after the gap where the clocks skip it. NaN where there is none. */
  function instantMs(local, zone) {
    const wall = Date.parse(`${local}Z`);
    if (Number.isNaN(wall) || !known(zone)) return NaN;
    const before = wall - offset(wall - DAY_MS, zone), after = wall - offset(wall + DAY_MS, zone);
    return offset(after, zone) === wall - after && offset(before, zone) !== wall - before ? after : before;
  }
  /** What a person typed as RFC 3339; what is no time stays, for the server to refuse. */
  function instant(local, zone) {
    const ms = local ? instantMs(local, zone) : NaN;
    return Number.isNaN(ms) ? local : z(ms);
  }
  const told = (text) => (/(Z|[+-]\d\d:?\d\d)$/i.test(text) ? Date.parse(text) : NaN);
  /** The instant as a datetime-local field wants it. */
  function local(text, zone) {
    const ms = told(text);
    return Number.isNaN(ms) || !known(zone) ? "" : new Date(ms + offset(ms, zone)).toISOString().slice(0, 19);
  }
  const nextDay = (day) => z(Date.parse(`${day}T00:00Z`) + DAY_MS).slice(0, 10);
  /** From midnight to midnight, ms; null where it is no day. */
  function dayOf(day, zone) {
    if (!/^\d{4}-\d\d-\d\d$/.test(day) || Number.isNaN(Date.parse(`${day}T00:00Z`)) || !known(zone)) return null;
    return [instantMs(`${day}T00:00`, zone), instantMs(`${nextDay(day)}T00:00`, zone)];
  }
  function dayHours(day, zone) {
    const span = dayOf(day, zone);
    return span && (span[1] - span[0]) / HOUR_MS;
  }

  // ---- the address of the page ----
  function windowOf(query) {
    if (query.has("day")) return "day";
    return query.has("from") ? "range" : query.has("to") ? "at" : "now";
  }
  function fromQuery(search, here) {
    const query = new URLSearchParams(search), choice = { ...NOTHING, window: windowOf(query), zone: query.size ? "UTC" : here };
    for (const name of ["report", "window", "last", "from", "to", "day", "zone", "format", "separator", "decimal"]) if (query.get(name)) choice[name] = query.get(name);
    for (const [name, values] of Object.entries(ONE_OF)) if (!values.includes(choice[name])) choice[name] = NOTHING[name];
    for (const name of ["from", "to"]) choice[name] = choice[name].trim().replace(" ", "+");
    return { ...choice, verdict: query.getAll("verdict"), site: query.getAll("site"), vehicleId: query.getAll("vehicleId"), bom: query.get("bom") === "true" };
  }
  const CSV_ONLY = ["separator", "decimal", "bom"];
  /** The members that say something about this report, in the order in which a person would read them. */
  function used(choice) {
    const inWindow = { now: ["last"], at: ["to", "last"], day: ["day"], range: ["from", "to"] }[choice.window];
    const filters = { summaries: ["verdict", "site", "vehicleId"], sessions: ["site", "vehicleId"], sites: [] }[choice.report];
    return [...inWindow, "zone", ...filters, "format", ...(choice.format === "csv" && choice.report !== "sites" ? CSV_ONLY : [])];
  }
  function put(query, choice, names) {
    for (const name of names) {
      const value = choice[name];
      if (Array.isArray(value)) value.forEach((one) => query.append(name, one));
      else if (value && (value !== NOTHING[name] || name === "zone")) query.set(name, String(value));
    }
    return query;
  }
  /** Easier to read, and the same: these may stand in a query as they are. */
  const words = (query) => query.toString().replaceAll("%3A", ":").replaceAll("%2F", "/");
  function toQuery(choice) {
    const query = new URLSearchParams();
    if (choice.report !== "summaries") query.set("report", choice.report);
    if (choice.window !== windowOf(put(new URLSearchParams(), choice, used(choice)))) query.set("window", choice.window);
    return `?${words(put(query, choice, used(choice)))}`;
  }

  // ---- the request ----
  /** The window's parameters. What ends now and lasts 24 hours says nothing: so does the server, whenever the command is called. */
  function windowQuery(choice, nowMs) {
    const { window: kind, last, day, zone, report } = choice;
    if (kind === "range") return { from: choice.from, to: choice.to };
    if (kind === "day") {
      const span = report === "sites" && dayOf(day, zone);
      return span ? { from: z(span[0]), to: z(span[1]) } : { day };
    }
    if (kind === "now" && last === "24h" && report !== "sites") return {};
    const to = kind === "now" ? z(Math.floor(nowMs / 1000) * 1000) : choice.to, ms = told(to);
    return { from: (last === "24h" && report !== "sites") || Number.isNaN(ms) ? "" : z(ms - LAST[last].ms), to };
  }
  /** {path, query} of the report, or of its preview. `nowMs`: where a window ends that ends now. */
  function request(choice, nowMs, preview = false) {
    const { path, preview: start } = REPORTS[choice.report], query = new URLSearchParams();
    const names = used(choice).filter((name) => !["from", "to", "day", "last"].includes(name) && !(name === "zone" && choice.report === "sites"));
    for (const [name, value] of Object.entries(windowQuery(choice, nowMs))) if (value) query.set(name, value);
    const all = put(query, { ...choice, zone: choice.zone === "UTC" ? "" : choice.zone }, names);
    if (choice.report === "sites") all.set("format", "csv");
    const text = words(all);
    return `${preview ? start : path}${text ? `?${text}` : ""}`;
  }
  const curl = (url) => `curl -fOJ '${window.location.origin}${url}'`;

  voltledger.reportChoice = { LAST, REPORTS, WINDOWS, NOTHING, fromQuery, toQuery, request, curl, instant, local, told, dayHours, known, used };
})();
