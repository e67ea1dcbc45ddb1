// The record of changes: who changed which assignment when, from what to what, a page at a time; each can be put back.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin } = voltledger;
  const PAGE = 25, FILE_PAGE = 10_000;
  const record = { of: {}, before: [null], next: null };
  const box = (id) => document.getElementById(id);
  const meter = (id) => id ?? "no charger";

  const query = () => ({ vehicleId: record.of.vehicleId, meterId: record.of.charger });
  function row(one) {
    const back = h("button", { type: "button", class: "button is-plain", onclick: () => admin.assign.putBack(one), "aria-label": `Put back ${meter(one.meterBefore)} for ${one.vehicleId}` }, "Put back");
    return { cells: [
      admin.moment(one.changedAt), h("span", {}, one.by, h("small", {}, ` ${one.via}`)), one.vehicleId, h("span", {}, meter(one.meterBefore), " → ", h("b", {}, meter(one.meterAfter))),
      h("span", {}, admin.stretch(one.from, one.to), one.correctsPast ? admin.tag("corrected the past", "is-changed") : null), one.note ?? "", back,
    ] };
  }
  function links() {
    const { before, next } = record;
    const newer = admin.button("Newer", () => { before.pop(); read(); }, "is-plain"), older = admin.button("Older", () => { before.push(next); read(); }, "is-plain");
    newer.disabled = before.length < 2;
    older.disabled = next === null;
    box("admin-record-links").replaceChildren(newer, older, admin.button("Export record", save, "is-plain"));
  }
  function draw(changes) {
    const heads = ["When", "Who", "Vehicle", "Charger", "Stretch", "Note", "Undo"];
    const nothing = h("p", { class: "card-empty" }, "No change is recorded yet. Every change of an assignment appears here, whoever makes it: on this page, by the API, by a file or in SQL.");
    box("admin-record").replaceChildren(changes.length ? admin.table("Record of changes", heads, changes.map(row), "is-record") : nothing);
    links();
  }
  async function read() {
    const asked = query(), { ok, body } = await admin.ask("GET", admin.path("/v1/mapping-changes", { ...asked, limit: PAGE, after: record.before.at(-1) }));
    if (!box("admin-record") || JSON.stringify(asked) !== JSON.stringify(query())) return; // another vehicle was picked meanwhile
    if (!ok) { admin.failed = true; return admin.note(); }
    record.next = body.next;
    draw(body.changes);
  }
  async function save() {
    const found = [];
    for (let after = null; ;) {
      const { ok, body } = await admin.ask("GET", admin.path("/v1/mapping-changes", { ...query(), limit: FILE_PAGE, after }));
      if (!ok) return admin.note(body.detail);
      found.push(...body.changes);
      if (body.next === null) break;
      after = body.next;
    }
    const names = ["change_id", "changed_at_utc", "by", "via", "vehicle_id", "from_utc", "to_utc", "meter_before", "meter_after", "corrects_past", "note"];
    admin.save("voltledger-assignment-changes.csv", names, found.map((one) => [one.changeId, one.changedAt, one.by, one.via, one.vehicleId, one.from, one.to, one.meterBefore, one.meterAfter, one.correctsPast, one.note]));
  }

  /** Of one vehicle, of one charger, or of all; from its newest change. */
  record.show = function ({ vehicleId = "", charger = "" } = record.of) {
    if (!box("admin-record")) return;
    Object.assign(record, { of: { vehicleId, charger }, before: [null] });
    const name = vehicleId || charger, all = () => record.show({});
    box("admin-record-of").replaceChildren(...(name ? [`of ${name} `, admin.button("Show all", all, "is-plain is-small")] : ["of all vehicles"]), ` · times in ${voltledger.zone.name()}`);
    return read();
  };
  admin.record = record;
})();
