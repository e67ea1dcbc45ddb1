// The page /reports: choice → address, preview, command and file.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, format, live, reportChoice: rules, reportForm: form, reportPreview: preview, reportDownload: download } = voltledger;
  const byId = (id) => document.getElementById(id);
  const SETTLED_MS = 600; // after the last key, so that not every digit of a year is asked for
  const page = { choice: null, at: 0, columns: null, asked: null, timer: 0, failed: false };

  const nowMs = () => live.now() * 1000;
  const here = () => window.location.pathname === "/reports" && Boolean(byId("reports-form"));
  const url = (start = false) => rules.request(page.choice, page.at, start);

  // ---- address and command ----
  function keepInAddress() {
    window.history.replaceState(window.history.state, "", `/reports${rules.toQuery(page.choice)}`);
    byId("report-curl").textContent = rules.curl(url());
  }

  // ---- preview ----
  const box = () => byId("reports-preview");
  function showPreview(state, of, ...body) {
    box().dataset.preview = state;
    byId("reports-preview-of").textContent = of;
    if (body.length) byId("reports-preview-body").replaceChildren(...body);
  }
  async function columns() {
    page.columns ??= await json("/v1/reports/columns", null);
    return page.columns[page.choice.report];
  }
  async function asked(path, signal) {
    const answer = await window.fetch(path, { signal, cache: "no-store", credentials: "same-origin" });
    if (!answer.ok) throw await download.problem(answer);
    return answer;
  }
  const json = async (path, signal) => (await asked(path, signal)).json();

  async function showColumns() {
    const known = await columns();
    byId("reports-columns-of").textContent = preview.many(known.length, "column");
    byId("reports-columns-body").replaceChildren(preview.explained(known));
  }

  /** The sites to choose from; where they cannot be read the address still names some. */
  async function readSites() {
    try {
      form.sites = (await json("/v1/sites?limit=10000", null)).sites;
    } catch { return; }
    if (here() && page.choice) form.offerSites(form.sites, page.choice.site);
  }

  /** Asks for the preview of what is chosen now; an older question is dropped. */
  async function ask() {
    page.asked?.abort();
    const mine = (page.asked = new AbortController());
    page.failed = false;
    byId("report-download").disabled = Boolean(download.job);
    showPreview("loading", "Reading…");
    try {
      await showColumns();
      form.clear();
      await (page.choice.report === "sites" ? offerSites() : showRows(mine.signal));
    } catch (error) {
      if (!mine.signal.aborted && here()) refused(error);
    }
  }
  async function showRows(signal) {
    const got = await json(url(true), signal), known = await columns(), whole = got.rowCountIs === "exact" && got.rowCount === got.rows.length;
    if (signal.aborted) return;
    const rows = got.rows.length ? preview.table(known, got.rows, preview.caption(got.rows.length, whole)) : nothing(got);
    showPreview("ready", `${preview.spanned(got)} · ${preview.counted(got)}`, rows);
  }
  function nothing({ rowCountIs }) {
    const why = page.choice.report === "sessions" ? "No charging session ended in this window." : rowCountIs === "exact" ? "No vehicle is of that site and verdict in this window." : "None among the vehicles looked at; the file goes through all of them.";
    return h("p", { class: "card-empty" }, `${why} ${rowCountIs === "exact" ? "A file of it holds the names of the columns alone: another window or filter may have more." : ""}`);
  }
  /** Sites have no beginning that could be read alone, so nobody is made to wait for them unasked. */
  function offerSites() {
    const go = h("button", { type: "button", class: "button", onclick: showSites }, "Work it out");
    showPreview("ready", "Not worked out yet", h("div", { class: "card-empty stack is-tight" }, h("p", {}, "Every meter has to be added up before the first row is known."), h("p", {}, go)));
  }
  async function showSites() {
    page.asked?.abort();
    const { signal } = (page.asked = new AbortController());
    showPreview("loading", "Adding up every meter…");
    try {
      const known = await columns(), rows = preview.rowsOf(await (await asked(url(), signal)).text(), known);
      const first = rows.slice(0, 20), body = first.length ? preview.table(known, first, preview.caption(first.length, first.length === rows.length)) : h("p", { class: "card-empty" }, "There is no meter yet.");
      showPreview("ready", `${first.length ? `${preview.clock(first[0].fromUtc)} to ${preview.clock(first[0].toUtc)} UTC · ` : ""}${preview.many(rows.length, "row")}`, body);
    } catch (error) {
      if (!signal.aborted) refused(error);
    }
  }

  /** Each fault at its field; what has none, above the preview, which stays as it was. */
  function refused(error) {
    page.failed = error.status === undefined || error.status === 503;
    form.clear();
    const left = (error.errors ?? []).filter(({ pointer, detail }) => !form.refuse(pointer.split("/")[1], detail));
    const named = (error.errors ?? []).length - left.length, faulty = error.status === 422;
    byId("report-download").disabled = faulty || Boolean(download.job);
    const words = faulty ? (named ? "Not with this choice: see the field marked above." : `Not with this choice: ${error.message}`) : error.status === 503 ? "The database cannot be reached. What you see is older; it is asked again as soon as it is back." : "The preview could not be loaded.";
    showPreview("failed", words);
  }

  // ---- the file ----
  const megabytes = (bytes) => (bytes < 1e6 ? `${format.number(bytes / 1000)} kB` : `${format.number(bytes / 1e6, 1)} MB`);
  function progressed({ bytes, rows, vehicles, everyVehicle, seconds }) {
    const rate = seconds > 0.5 ? ` · ${megabytes(bytes / seconds)}/s` : "";
    if (rows === null) return `${megabytes(bytes)}${rate}`;
    const done = everyVehicle && vehicles ? `${format.number(rows)} of ${preview.many(vehicles, "vehicle")}` : preview.many(rows, "row");
    return `${done} · ${megabytes(bytes)}${rate}`;
  }
  const WORDS = {
    running: (now) => (now.bytes ? progressed(now) : "Asked for; waiting for the first rows…"),
    waiting: ({ words, left }) => `The server is busy: ${words}. Asked again in ${left} s.`,
    done: (now) => `Complete: ${now.name}, ${now.rows === null ? "" : `${preview.many(now.rows, "row")}, `}${megabytes(now.bytes)}.`,
    failed: ({ words }) => `Failed: ${words.replace(/\.$/, "")}. No file was saved.`,
    cancelled: () => "Cancelled. No file was saved.",
  };
  /** What the transfer says; the page may have been left meanwhile. */
  function show(now) {
    page.last = now;
    if (!here()) return;
    const busy = now.state === "running" || now.state === "waiting", bar = byId("report-progress");
    byId("reports-file").dataset.transfer = now.state;
    byId("report-transfer").textContent = WORDS[now.state](now);
    byId("report-said").textContent = now.state === "running" ? "Download running" : WORDS[now.state](now);
    byId("report-download").hidden = busy;
    byId("report-cancel").hidden = !busy;
    bar.hidden = !busy;
    if (now.everyVehicle && now.vehicles && now.rows !== null) { bar.max = now.vehicles; bar.value = now.rows; } else bar.removeAttribute("value");
    byId("report-download-words").textContent = now.state === "failed" ? "Try again" : "Download";
    for (const { pointer, detail } of now.errors ?? []) form.refuse(pointer.split("/")[1], detail);
  }
  function start() {
    form.clear();
    const { report, verdict, format: form_ } = page.choice;
    page.at = nowMs();
    keepInAddress();
    download.start({ url: url(), format: report === "sites" ? "csv" : form_, everyVehicle: report === "summaries" && !verdict.length }, show);
    byId("report-cancel").focus();
  }

  // ---- the page's life ----
  function changed(event, waitMs) {
    page.choice = form.read(page.choice, event.target.name);
    if (event.target.name === "report") byId("reports-preview-body").replaceChildren();
    if (page.choice.report === "sites") page.choice.format = "csv";
    if (event.target.type === "radio") Object.assign(page.choice, begun(page.choice));
    // What is being typed is left alone.
    if (event.target.type === "radio") form.fill(page.choice); else form.follow(page.choice);
    refresh(waitMs);
  }
  const DAY_MS = 86_400_000;
  /** The zone's clocks, cut to so many characters. */
  const onClocks = (ms, zone, length) => rules.local(new Date(ms).toISOString(), zone).slice(0, length);
  /** A kind of window that was just chosen is filled, so that its preview shows something: yesterday, or the last full hour and the day before it. */
  function begun({ window: kind, zone, day, from, to }) {
    if (!rules.known(zone)) return {};
    if (kind === "day") return { day: day || onClocks(nowMs() - DAY_MS, zone, 10) };
    const end = to || rules.instant(`${onClocks(nowMs(), zone, 13)}:00`, zone);
    if (kind === "at") return { to: end };
    return kind === "range" && !from ? { from: new Date(rules.told(end) - DAY_MS).toISOString().replace(".000Z", "Z"), to: end } : {};
  }
  /** What has to be said first: without it the server would answer with the last day. */
  const lacking = ({ window: kind, day, to }) => (kind === "day" && !day ? ["day", "Say which day."] : kind === "at" && !to ? ["to", "Say when it ends."] : null);
  function wait() {
    page.asked?.abort();
    const [name, detail] = lacking(page.choice);
    refused({ status: 422, errors: [{ pointer: `/${name}`, detail }] });
  }
  function refresh(waitMs = 0) {
    page.at = nowMs();
    keepInAddress();
    clearTimeout(page.timer);
    page.timer = setTimeout(lacking(page.choice) ? wait : ask, waitMs);
  }

  function state() {
    const element = byId("reports-page");
    if (!element || !live.picture) return;
    const empty = !live.picture.vehicles.id.length;
    element.dataset.state = empty ? "empty" : "ready";
    if (!empty && (page.choice === null || (page.failed && !live.stale()))) begin();
  }
  /** Fills the page once there is somebody to report on, and asks again when the database is back. */
  function begin() {
    if (page.choice === null) {
      page.choice = rules.fromQuery(window.location.search, voltledger.zone.name());
      if (page.choice.report === "sites") page.choice.format = "csv";
      form.fill(page.choice);
      readSites();
      if (page.last) show(page.last);
    }
    refresh();
  }

  window.dash_clientside.voltledger.reportsMounted = function () {
    const box_ = byId("reports-form");
    Object.assign(page, { choice: null, failed: false });
    box_.replaceChildren(...form.made());
    box_.addEventListener("change", (event) => changed(event, event.target.matches("[type=date], [type=datetime-local]") ? SETTLED_MS : 0));
    // A zone picked from the list is no change for the browser before the field is left.
    box_.addEventListener("input", (event) => event.target.name === "zone" && rules.known(event.target.value) && changed(event, SETTLED_MS));
    byId("report-download").addEventListener("click", start);
    byId("report-cancel").addEventListener("click", () => { download.cancel(); byId("report-download").hidden = false; byId("report-download").focus(); });
    byId("report-refresh").addEventListener("click", () => refresh());
    document.querySelector('[data-page="/reports"]')?.scrollIntoView({ block: "nearest", inline: "nearest" });
    voltledger.views.all();
    state();
    return null;
  };
  live.watch(state);
  voltledger.reports = page;
})();
