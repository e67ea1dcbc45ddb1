// One vehicle's assignments: its whole timeline, and a change that is shown before it is done.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin, format, parts } = voltledger;
  const ALWAYS = "2000-01-01T00:00:00Z"; // no reading may be older, so that this is from always for a vehicle that has a timeline
  const assign = { vehicleId: "", form: null };
  const detail = () => document.getElementById("admin-detail");

  const meter = (id) => id ?? "no charger";
  const known = (list, key, id) => admin.lists[list].some((one) => one[key] === id);

  // ---- timeline ----
  function stretchItem(vehicleId, one) {
    const at = admin.now(), from = admin.ms(one.from), to = admin.ms(one.to);
    const state = from !== null && from > at ? ["planned", ""] : to === null || to > at ? ["now", "is-live"] : null;
    const actions = [admin.button("Change this stretch", () => fill({ meterId: one.meterId, from: one.from ?? ALWAYS, to: one.to }), "is-plain")];
    if (one.from !== null) actions.push(admin.button("Take out", () => takeOut(vehicleId, one), "is-plain"));
    return h("li", {}, h("div", { class: "timeline-what" }, h("b", {}, meter(one.meterId)), state ? admin.tag(...state) : null),
      h("div", {}, admin.stretch(one.from, one.to)), h("div", { class: "timeline-actions" }, actions));
  }
  function timeline(vehicleId) {
    const found = admin.lists.timelines.get(vehicleId) ?? [];
    if (!found.length) return h("p", { class: "card-empty" }, "No charger was ever assigned to this vehicle. Its first assignment holds from always.");
    return h("ol", { class: "timeline-list" }, found.map((one) => stretchItem(vehicleId, one)).reverse());
  }
  function chargerTimeline(meterId) {
    const rows = [];
    for (const [vehicleId, steps] of admin.lists.timelines) for (const one of steps) if (one.meterId === meterId) rows.push([vehicleId, one]);
    if (!rows.length) return h("p", { class: "card-empty" }, "No vehicle was ever assigned to this charger.");
    rows.sort((a, b) => (admin.ms(b[1].from) ?? -Infinity) - (admin.ms(a[1].from) ?? -Infinity));
    return h("ol", { class: "timeline-list" }, rows.map(([vehicleId, one]) => h("li", {}, h("div", { class: "timeline-what" }, h("b", {}, vehicleId)), h("div", {}, admin.stretch(one.from, one.to)))));
  }

  // ---- the form ----
  const WHAT = [["assign", "Assign a charger"], ["none", "No charger (end the assignment)"]];
  const WHEN = [["now", "From now on"], ["from", "From an instant on"], ["stretch", "For a stretch of time"]];
  function fields(vehicleId, meterId) {
    const zone = voltledger.zone.name();
    return [
      { name: "vehicleId", label: "Vehicle", value: vehicleId, fixed: Boolean(vehicleId), hint: vehicleId ? "" : "1 to 64 letters, digits and . _ : -", offers: () => admin.lists.vehicles.map((v) => [v.vehicleId, v.name]), wide: true },
      { name: "what", label: "What", kind: "choice", options: () => WHAT, value: "assign" },
      { name: "meterId", label: "Charger", value: meterId, offers: () => admin.lists.meters.map((m) => [m.meterId, m.name]) },
      { name: "when", label: "When", kind: "choice", options: () => WHEN, value: "now", wide: true },
      { name: "from", label: "From", unit: zone, kind: "instant", hint: "Before now it corrects the past." },
      { name: "to", label: "To", unit: zone, kind: "instant", hint: "From then on what did before goes on." },
      { name: "by", label: "Who", value: admin.who(), hint: "Your name, for the record." },
      { name: "note", label: "Note", hint: "Why, for the record." },
    ];
  }
  function shape(form) {
    form.show("meterId", form.get("what").value === "assign");
    form.show("from", form.get("when").value !== "now");
    form.show("to", form.get("when").value === "stretch");
  }
  function makeForm(vehicleId, meterId) {
    const form = admin.form({ label: "Change an assignment", fields: fields(vehicleId, meterId), submit: "Show what changes", onSubmit: (values) => propose(values, form) });
    for (const name of ["what", "when"]) form.get(name).addEventListener("change", () => shape(form));
    form.get("by").addEventListener("change", () => admin.rememberWho(form.get("by").value.trim()));
    shape(form);
    return form;
  }
  /** Puts a stretch into the form, to be looked at and changed before it is proposed. */
  function fill({ meterId, from, to, note }) {
    const { form } = assign;
    form.set("what", meterId === null ? "none" : "assign");
    form.set("meterId", meterId ?? "");
    form.set("when", to ? "stretch" : "from");
    form.set("from", admin.typed(from));
    form.set("to", admin.typed(to));
    if (note) form.set("note", note);
    shape(form);
    form.clear();
    outcome();
    form.element.scrollIntoView({ block: "nearest" });
    form.get(meterId === null ? "from" : "meterId").focus();
  }

  // ---- what will change, and then the change ----
  function outcome(...children) {
    const box = detail().querySelector(".admin-outcome");
    box.replaceChildren(...children.filter(Boolean));
    return box;
  }
  /** The request for what stands in the form; faults that no request is needed for are the form's. */
  function requestOf({ vehicleId, what, meterId, when, from, to, by, note }) {
    const missing = [[!vehicleId, "vehicleId", "name the vehicle"], [what === "assign" && !meterId, "meterId", "name the charger"], [when !== "now" && !from, "from", "say from when on"], [when === "stretch" && !to, "to", "say until when"]];
    const errors = missing.filter(([wrong]) => wrong).map(([, name, detail]) => ({ pointer: `/${name}`, detail }));
    const json = { meterId: what === "none" ? null : meterId, ...(when !== "now" && { from }), ...(when === "stretch" && { to }), by, note };
    return { errors, vehicleId, method: "PUT", query: {}, json };
  }
  async function propose(values, form) {
    outcome();
    const request = requestOf(values);
    if (request.errors.length) return form.refuse(request);
    await tryOut(request, (problem) => form.refuse(problem));
  }
  const send = ({ method, vehicleId, query, json }, more) => admin.ask(method, admin.path(`/v1/mappings/${encodeURIComponent(vehicleId)}`, { ...query, ...more }), { json });

  function takeOut(vehicleId, one) {
    const { form } = assign, by = form.get("by").value.trim(), note = form.get("note").value.trim();
    form.clear();
    return tryOut({ vehicleId, method: "DELETE", query: { from: one.from, by, note } }, (problem) => form.refuse(problem));
  }
  async function tryOut(request, refuse) {
    const { ok, body } = await send(request, { dryRun: true });
    if (!ok) return refuse(body);
    proposal(request, body);
  }

  function changeRows(changes) {
    return admin.table("What changes", ["Stretch", "Before", "After"], changes.map((one) => ({
      cells: [h("div", {}, admin.stretch(one.from, one.to), one.correctsPast ? h("div", {}, admin.tag("corrects the past", "is-changed")) : null), meter(one.meterBefore), h("b", {}, meter(one.meterAfter))],
    })), "is-changes");
  }
  const percent = (ratio) => (ratio === null ? format.NONE : format.percent(ratio));
  const verdict = (one) => voltledger.kinds.label(voltledger.kinds.of(one.verdict, one.severity));
  const both = (before, after) => (before === after ? before : h("span", {}, before, " → ", h("b", {}, after)));
  function pastNumbers(past) {
    if (!past) return h("p", { class: "is-muted" }, "No number of the past changes.");
    const window = `${admin.moment(past.from)} to ${admin.moment(past.to)} ${voltledger.zone.name()}`;
    if (!past.vehicles.length) return h("p", { class: "is-muted" }, `No number of ${window} changes: nothing was reported that would count.`);
    const rows = past.vehicles.map(({ vehicleId, before, after }) => ({ cells: [
      vehicleId, both(percent(before.efficiencyRatio), percent(after.efficiencyRatio)), both(format.number(before.totalAc, 2), format.number(after.totalAc, 2)), both(verdict(before), verdict(after)),
    ] }));
    return h("div", {}, h("h4", {}, `Numbers of the past that change, ${window}`), admin.table("Numbers that change", ["Vehicle", "Efficiency", "From the grid, kWh", "Verdict"], rows));
  }
  function strangers(request, changes) {
    const found = [];
    if (!known("vehicles", "vehicleId", request.vehicleId)) found.push(`the vehicle ${request.vehicleId}`);
    for (const id of new Set(changes.map((one) => one.meterAfter).filter(Boolean))) if (!known("meters", "meterId", id)) found.push(`the charger ${id}`);
    return found.length ? h("p", { class: "admin-warning" }, `Nobody has heard of ${found.join(" and ")}: never reported, described or assigned. Mostly that is a mistyped id.`) : null;
  }
  function proposal(request, body) {
    const { changes } = body, warning = strangers(request, changes);
    const title = h("h3", { tabindex: "-1" }, changes.length ? "What will change" : "Nothing changes");
    const back = admin.button("Back", () => { outcome(); assign.form.get("note").focus(); }, "is-plain");
    const go = changes.length ? admin.button(warning ? "Do it all the same" : "Do it", () => carryOut(request, changes, go), "is-main") : null;
    outcome(title, changes.length ? changeRows(changes) : h("p", { class: "is-muted" }, "It is so already."), changes.length ? pastNumbers(body.pastNumbers) : null, warning, h("div", { class: "admin-buttons" }, go, back));
    title.focus();
    title.scrollIntoView({ block: "nearest" });
  }
  async function carryOut(request, foreseen, go) {
    go.disabled = true;
    const { ok, body } = await send(request);
    go.disabled = false;
    if (!ok) return assign.form.refuse(body);
    const key = assign.charger ? `charger ${assign.charger}` : request.vehicleId;
    await admin.refresh(["vehicles", "meters", "timelines"]);
    if (key !== admin.list.picked) admin.list.pick(request.vehicleId); else admin.list.pick(key);
    done(body.changes, foreseen);
  }
  /** What differs only in the instant of "from now" is the same change. */
  const same = (a, b) => JSON.stringify(a.map((one) => [one.meterBefore, one.meterAfter, one.correctsPast])) === JSON.stringify(b.map((one) => [one.meterBefore, one.meterAfter, one.correctsPast]));
  function done(changes, foreseen) {
    const title = h("h3", { tabindex: "-1" }, "Done and recorded");
    const meanwhile = same(changes, foreseen) ? null : h("p", { class: "admin-warning" }, "Somebody else changed this meanwhile: look at what was changed now.");
    outcome(title, changeRows(changes), meanwhile, h("p", { class: "is-muted" }, "To undo it, use Put back in the record of changes."));
    title.focus();
  }

  /** Shows a row of the list: a vehicle, or a charger without one. */
  assign.pick = function (row) {
    const charger = row.charger ?? (row.key.startsWith("charger ") ? row.key.slice(8) : ""), vehicleId = charger || row.fresh ? "" : row.key;
    Object.assign(assign, { vehicleId, charger, form: makeForm(vehicleId, charger) });
    const name = charger || vehicleId || "Assign another";
    const link = vehicleId ? h("a", { href: parts.vehicleHref(vehicleId), "data-nav": "" }, "Open the vehicle") : null;
    detail().replaceChildren(
      h("div", { class: "card-head" }, h("div", { class: "grow" }, h("h2", {}, row.name || name), row.name && row.name !== name ? h("div", { class: "card-of" }, name) : null), link),
      vehicleId ? timeline(vehicleId) : charger ? chargerTimeline(charger) : h("p", { class: "card-empty" }, "An id that no device has reported with yet can be assigned too."),
      assign.form.element, h("div", { class: "admin-outcome", "aria-live": "polite" }));
    admin.record?.show({ vehicleId, charger });
  };
  /** Undoes a recorded change: what held before, in the same stretch. */
  assign.putBack = function (change) {
    admin.list.pick(change.vehicleId);
    fill({ meterId: change.meterBefore, from: change.from ?? ALWAYS, to: change.to, note: `Puts back what ${change.by} changed` });
  };
  admin.assign = assign;

  // ---- the tab ----
  function remark(row, meters) {
    const words = [];
    const sharing = (meters.get(row.meterId) ?? []).filter((id) => id !== row.key);
    if (sharing.length) words.push(`shared with ${sharing.length > 2 ? `${sharing.length} vehicles` : sharing.join(", ")}`);
    const next = admin.nextAfter(admin.lists.timelines.get(row.key));
    if (next) words.push(`${meter(next.meterId)} from ${admin.moment(next.from)}`);
    return words.join("; ");
  }
  function rows() {
    const meters = admin.onMeters(), described = new Map(admin.lists.vehicles.map((one) => [one.vehicleId, one]));
    const ids = new Set([...described.keys(), ...admin.lists.timelines.keys()]);
    const vehicles = [...ids].map((id) => {
      const now = admin.holds(admin.lists.timelines.get(id)), row = { key: id, vehicle: id, name: described.get(id)?.name, site: admin.siteName(described.get(id)?.siteId), meterId: now?.meterId ?? "", sinceMs: now ? admin.ms(now.from) ?? -Infinity : null };
      return { ...row, shared: (meters.get(row.meterId) ?? []).length > 1, remark: remark(row, meters) };
    });
    const free = admin.lists.meters.filter((one) => !meters.has(one.meterId));
    return [...vehicles, ...free.map((one) => ({ key: `charger ${one.meterId}`, charger: one.meterId, vehicle: "–", name: one.name, meterId: one.meterId, sinceMs: null, site: admin.siteName(one.siteId), remark: "no vehicle now" }))];
  }
  const SHOWS = { "": (row) => !row.charger, without: (row) => !row.charger && !row.meterId, shared: (row) => row.shared, free: (row) => Boolean(row.charger) };
  admin.tabs = {
    assignments: {
      grid: "admin-assignments", param: "vehicle", search: "Vehicle, charger or site", narrow: 2, hidden: true, lists: ["vehicles", "meters", "sites", "timelines"],
      filters: [["", "All vehicles"], ["without", "Without a charger"], ["shared", "Shared chargers"], ["free", "Chargers without a vehicle"]],
      rows, shows: (row, show) => SHOWS[show](row), pick: assign.pick,
      fresh: () => ({ key: "", fresh: true }),
      export: { file: "voltledger-assignments.csv", names: ["vehicle_id", "name", "site", "meter_id", "since_utc", "remark"], cells: (row) => [row.charger ? "" : row.key, row.name, row.site, row.meterId, Number.isFinite(row.sinceMs) && row.sinceMs !== null ? new Date(row.sinceMs).toISOString() : row.sinceMs === null ? "" : "always", row.remark] },
      mounted: () => { if (!admin.list.picked) admin.record.show({}); admin.file.assignments(); },
    },
  };
})();
