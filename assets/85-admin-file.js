// Many changes from a file: it is tried first, what is wrong stands in a table, and only a clean file can be carried out.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin, format } = voltledger;
  const SHOWN = 300; // rows of a preview that a page can carry; the file with all of them can be saved
  const box = () => document.getElementById("admin-file");
  const meter = (id) => id ?? "no charger";

  const WORDS = { first: "first assignment", changed: "changed", corrected: "corrects the past", unchanged: "unchanged", new: "new" };
  const LOOKS = { corrected: "is-changed", first: "is-live", new: "is-live" };
  const value = (one) => (one === null || one === undefined ? "empty" : String(one));
  const KINDS = {
    assignments: {
      path: "/v1/mappings", name: "assignments", template: "/assets/templates/assignments.csv", authored: true, order: ["corrected", "changed", "first", "unchanged"],
      id: "vehicleId", head: "Vehicle", change: (one) => h("div", {}, `${meter(one.meterBefore)} → `, h("b", {}, meter(one.meterAfter)), h("small", {}, ` ${admin.stretch(one.from, one.to)}`)),
      line: (one) => `${meter(one.meterBefore)} → ${meter(one.meterAfter)}, ${one.from ?? "always"} → ${one.to ?? "until changed"}`,
      present: () => ({ names: ["vehicle_id", "meter_id", "from", "to"], rows: [...admin.lists.timelines].map(([id, timeline]) => [id, admin.holds(timeline)?.meterId ?? "none", "", ""]) }),
      lists: ["vehicles", "meters", "timelines"],
    },
    sites: {
      path: "/v1/sites", name: "sites", template: "/assets/templates/sites.csv", authored: false, order: ["new", "changed", "unchanged"],
      id: "siteId", head: "Site", change: (one) => h("div", {}, `${one.field}: ${value(one.before)} → `, h("b", {}, value(one.after))), line: (one) => `${one.field}: ${value(one.before)} → ${value(one.after)}`,
      present: () => ({ names: ["site_id", "name", "latitude", "longitude", "time_zone", "tariff_per_kwh", "co2_kg_per_kwh"], rows: admin.lists.sites.map((s) => [s.siteId, s.name, s.latitude, s.longitude, s.timeZone, s.tariffPerKwh, s.co2KgPerKwh]) }),
      lists: ["sites"],
    },
  };

  function start(kind) {
    const state = { kind, file: null, text: null, show: "" };
    const input = h("input", { type: "file", accept: ".csv,text/csv", id: "admin-file-input", class: "visually-hidden" });
    const drop = h("label", { for: "admin-file-input", class: "drop" }, h("b", {}, "Choose a CSV file"), " or drop it here", h("span", { id: "admin-file-name", class: "is-muted" }));
    const accept = h("input", { type: "checkbox", id: "admin-file-unknown", role: "switch" });
    const by = h("input", { type: "text", id: "admin-file-by", autocomplete: "off" }), note = h("input", { type: "text", id: "admin-file-note", autocomplete: "off" });
    by.value = admin.who();
    by.addEventListener("change", () => admin.rememberWho(by.value.trim()));
    const result = h("div", { id: "admin-file-result", "aria-live": "polite" });
    Object.assign(state, { result, query: () => (kind.authored ? { by: by.value.trim(), note: note.value.trim(), ...(accept.checked && { unknown: "accept" }) } : {}) });
    accept.addEventListener("change", () => state.text && tryOut(state));
    // the same file again after it was mended: the input would otherwise see no change
    input.addEventListener("click", () => { input.value = ""; });
    input.addEventListener("change", () => take(state, input.files[0]));
    for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("is-over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
    drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("is-over"); take(state, event.dataTransfer.files[0]); });
    const save = () => { const { names, rows } = kind.present(); admin.save(`voltledger-${kind.name}-now.csv`, names, rows, { plain: true }); };
    const author = kind.authored ? [
      h("div", { class: "fields" }, field("Who", by), field("Note", note)),
      h("label", { class: "switch", for: "admin-file-unknown" }, accept, h("span", {}, "Take ids nobody has heard of"), h("small", {}, "Vehicles and chargers that never reported, are not described and are in no assignment are refused, as they are mostly mistyped.")),
    ] : [];
    box().replaceChildren(h("div", { class: "admin-form" }, h("div", { class: "drop-box" }, input, drop), ...author,
      h("div", { class: "admin-buttons" }, h("a", { href: kind.template, class: "button is-plain", download: `voltledger-${kind.name}-template.csv` }, "Template"), admin.button("What is now, as such a file", save, "is-plain"))), result);
  }
  const field = (words, input) => h("div", { class: "field" }, h("label", { for: input.id }, words), input);

  async function take(state, file) {
    if (!file) return;
    Object.assign(state, { file: file.name, text: await file.arrayBuffer(), show: "" });
    document.getElementById("admin-file-name").textContent = ` ${file.name}, ${format.number(Math.ceil(file.size / 1024))} kB`;
    await tryOut(state);
  }
  const send = (state, more) => admin.ask("POST", admin.path(state.kind.path, { ...state.query(), ...more }), { csv: state.text });
  async function tryOut(state) {
    state.result.replaceChildren(h("p", { class: "card-empty" }, "Trying the file…"));
    const { ok, body } = await send(state, { dryRun: true });
    if (ok) preview(state, body); else wrong(state, body);
  }

  function wrong(state, problem) {
    const errors = problem.errors ?? [];
    const rows = errors.map(({ line, pointer, code, detail }) => ({ cells: [line ?? "–", pointer ? pointer.slice(1) : "the whole line", detail, code] }));
    const more = problem.errorsTruncated ? h("p", { class: "is-muted" }, `The first ${format.number(errors.length)} are shown. Mend these and try again.`) : null;
    const unheard = errors.some(({ code }) => code === "unknown_device") ? h("p", { class: "is-muted" }, "Where an id is right although nobody has heard of it yet, switch on “Take ids nobody has heard of”.") : null;
    const title = h("h3", { tabindex: "-1" }, errors.length ? "Nothing was changed: the file is not clean" : "The file could not be tried");
    state.result.replaceChildren(h("div", { class: "admin-outcome" }, title, h("p", {}, problem.detail ?? ""), errors.length ? admin.table("What is wrong", [["Line", "is-number"], "Column", "What is wrong", "Code"], rows, "is-wrong") : null, more, unheard,
      h("div", { class: "admin-buttons" }, admin.button("Try again", () => tryOut(state)), errors.length ? admin.button("Save what is wrong", () => admin.save(`voltledger-${state.kind.name}-errors.csv`, ["line", "column", "what_is_wrong", "code"], errors.map(({ line, pointer, code, detail }) => [line, pointer?.slice(1), detail, code])), "is-plain") : "")));
    title.focus();
  }

  function rowsOf(state, { rows }) {
    const wanted = rows.filter((row) => !state.show || row.action === state.show);
    const shown = wanted.slice(0, SHOWN).map((row) => ({ cells: [row.line, row[state.kind.id], admin.tag(WORDS[row.action], LOOKS[row.action]), row.changes.length ? h("div", {}, row.changes.map(state.kind.change)) : h("span", { class: "is-muted" }, "stays as it is")] }));
    return h("div", {}, admin.table("Rows of the file", [["Line", "is-number"], state.kind.head, "What happens", "Before → after"], shown, "is-preview"),
      wanted.length > SHOWN ? h("p", { class: "is-muted admin-more" }, `The first ${SHOWN} of ${format.number(wanted.length)} rows; all are in the saved preview.`) : null);
  }
  function chips(state, body, redraw) {
    const all = [["", "All rows", body.counts.rows], ...state.kind.order.map((action) => [action, WORDS[action], body.counts[action]])];
    return h("div", { class: "chips", role: "group", "aria-label": "Show" }, all.map(([action, words, many]) => h("button", { type: "button", class: "chip", "aria-pressed": String(state.show === action), onclick: () => { state.show = action; redraw(); } }, words, h("b", {}, format.number(many)))));
  }
  function savePreview(state, body) {
    admin.save(`voltledger-${state.kind.name}-preview.csv`, ["line", "id", "action", "changes"], body.rows.map((row) => [row.line, row[state.kind.id], row.action, row.changes.map(state.kind.line).join("; ")]));
  }
  function preview(state, body) {
    const { counts } = body, changing = counts.rows - counts.unchanged;
    const title = h("h3", { tabindex: "-1" }, body.dryRun ? (changing ? "The file is clean: this will change" : "The file is clean and changes nothing") : "Done" + (state.kind.authored ? " and recorded" : ""));
    const go = body.dryRun && changing ? admin.button(`Carry out ${format.number(changing)} ${changing === 1 ? "change" : "changes"}`, () => carryOut(state, go), "is-main") : null;
    const past = body.dryRun && counts.corrected ? h("p", { class: "admin-warning" }, `${format.number(counts.corrected)} ${counts.corrected === 1 ? "row corrects" : "rows correct"} the past: numbers of exactly these stretches are worked out anew.`) : null;
    const draw = () => state.result.replaceChildren(h("div", { class: "admin-outcome" }, title, chips(state, body, draw), past, rowsOf(state, body), h("div", { class: "admin-buttons" }, go, admin.button("Save this preview", () => savePreview(state, body), "is-plain"))));
    draw();
    title.focus();
  }
  async function carryOut(state, go) {
    go.disabled = true;
    const { ok, body } = await send(state);
    if (!ok) return wrong(state, body);
    preview(state, body);
    await admin.refresh(state.kind.lists);
    admin.record?.show();
    if (admin.list.picked && !document.querySelector("#admin-detail form")?.contains(document.activeElement)) admin.list.pick(admin.list.picked);
  }

  admin.file = Object.fromEntries(Object.entries(KINDS).map(([name, kind]) => [name, () => start(kind)]));
})();
