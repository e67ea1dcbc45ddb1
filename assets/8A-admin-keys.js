// Keys of devices and programs: made with what they are bound to, shown once, rotated and revoked; when each was used and refused last.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin } = voltledger;
  const PATH = "/v1/keys", PAGE = 10_000;
  const HOUR_MS = 3_600_000;
  const KINDS = [["vehicle", "One vehicle"], ["meter", "One charger"], ["list", "A list of devices"], ["site", "A site: all that belongs to it"], ["gateway", "A gateway: every device"], ["none", "A program: sends no readings"]];
  const ALSO = [["", "nothing else"], ["read", "read analytics and exports"], ["read admin", "read, and change what stands here"]];
  const BOTH = [["24", "24 hours"], ["1", "1 hour"], ["168", "7 days"], ["0", "not at all: it ends now"]];
  const REFUSALS = { wrong_secret: "a wrong secret", revoked: "revoked", expired: "expired", forbidden: "not its right", forbidden_device: "another's device", too_fast: "too fast" };
  const detail = () => document.getElementById("admin-detail");
  const at = (id, path = "") => `${PATH}/${id}${path}`;

  admin.lists.keys = [];
  admin.loaders.keys = async () => {
    const found = [];
    for (let after = ""; after !== null;) {
      const { ok, body } = await admin.ask("GET", admin.path(PATH, { limit: PAGE, after }));
      if (!ok) throw new Error(body.detail);
      found.push(...body.keys);
      after = body.next;
    }
    return found;
  };

  function writes(one) {
    if (one.binding === "site") return `site ${admin.siteName(one.siteId)}`;
    if (one.binding === "gateway") return "every device";
    const ids = [...one.vehicleIds, ...one.meterIds];
    return ids.length > 3 ? `${ids.slice(0, 2).join(", ")} and ${ids.length - 2} more` : ids.join(", ");
  }
  const LOOKS = { valid: "is-live", expired: "is-changed", revoked: "" };
  const refusedWords = (one) => (one.refused ? `${voltledger.format.number(one.refused)} times, last ${admin.moment(one.lastRefusedAt)}: ${REFUSALS[one.lastRefusedCode] ?? one.lastRefusedCode}` : "never");
  function facts(one) {
    const lines = [
      ["Writes", writes(one) || "nothing"], ["May", one.rights.join(", ")], ["Made", `${admin.moment(one.createdAt)} by ${one.createdBy}`],
      ["Expires", one.expiresAt ? admin.moment(one.expiresAt) : "never"], ["Last used", one.lastUsedAt ? admin.moment(one.lastUsedAt) : "never"], ["Refused", refusedWords(one)],
      one.rotatedAt ? ["Rotated", admin.moment(one.rotatedAt)] : null, one.previousUntil && admin.ms(one.previousUntil) > admin.now() ? ["Its secret before holds until", admin.moment(one.previousUntil)] : null,
      one.revokedAt ? ["Revoked", admin.moment(one.revokedAt)] : null,
    ];
    return h("dl", { class: "key-facts" }, lines.filter(Boolean).flatMap(([name, words]) => [h("dt", {}, name), h("dd", {}, words)]));
  }
  const head = (title, of, tag) => h("div", { class: "card-head" }, h("div", { class: "grow" }, h("h2", {}, title), of ? h("div", { class: "card-of" }, of) : null), tag);
  const people = () => [{ name: "note", label: "Why", wide: true }, { name: "by", label: "Who", value: admin.who(), hint: "Your name, for the record.", wide: true }];
  function remembering(form) {
    form.get("by").addEventListener("change", () => admin.rememberWho(form.get("by").value.trim()));
    return form;
  }

  // ---- shown once ----
  function once(title, shown) {
    const secret = h("code", { class: "key-shown", id: "admin-key-shown", tabindex: "0" }, shown);
    const copy = h("button", { type: "button", class: "button", "data-copy": secret.id }, "Copy");
    const words = "It is shown this once and kept nowhere: put it into the device now. It sends it as Authorization: Bearer and the key.";
    const heading = h("h3", { tabindex: "-1" }, title);
    detail().querySelector(".admin-outcome")?.replaceChildren(heading, h("p", {}, words), h("div", { class: "key-once" }, secret, copy));
    heading.focus();
  }
  const said = (title, words) => detail().querySelector(".admin-outcome")?.replaceChildren(h("h3", {}, title), words ? h("p", {}, words) : "");

  // ---- a new one ----
  const ids = (list, name) => () => admin.lists[list].map((one) => [one[name], one.name ?? one[name]]);
  const sites = () => [["", "choose one"], ...admin.lists.sites.map((one) => [one.siteId, one.name])];
  const split = (text) => (text ?? "").split(/[\s,;]+/).filter(Boolean);
  function fields() {
    return [
      { name: "name", label: "Name", wide: true, hint: "What people call it, like the device or its place." },
      { name: "binding", label: "For", kind: "choice", options: () => KINDS, value: "vehicle", wide: true },
      { name: "vehicleIds", label: "Vehicle", offers: ids("vehicles", "vehicleId"), wide: true }, { name: "meterIds", label: "Charger", offers: ids("meters", "meterId"), wide: true },
      { name: "siteId", label: "Site", kind: "choice", options: sites, value: "", wide: true },
      { name: "rights", label: "May also", kind: "choice", options: () => ALSO, value: "" }, { name: "expiresAt", label: "Expires", kind: "instant", hint: "Empty: never." },
      ...people(),
    ];
  }
  function shape(form) {
    const kind = form.get("binding").value, many = kind === "list";
    form.show("vehicleIds", many || kind === "vehicle");
    form.show("meterIds", many || kind === "meter");
    form.show("siteId", kind === "site");
    for (const [name, one, more] of [["vehicleIds", "Vehicle", "Vehicles"], ["meterIds", "Charger", "Chargers"]]) {
      form.element.querySelector(`label[for="admin-field-${name}"]`).textContent = many ? more : one;
      document.getElementById(`admin-field-${name}-hint`)?.replaceChildren(many ? "Ids, with a comma or a space between them." : "Its id.");
    }
  }
  async function create(values, form) {
    const { binding: kind, vehicleIds, meterIds, siteId, rights, ...rest } = values;
    const json = {
      ...rest, binding: kind === "vehicle" || kind === "meter" ? "device" : kind, rights: [...(kind === "none" ? [] : ["write"]), ...split(rights)],
      vehicleIds: split(vehicleIds), meterIds: split(meterIds), siteId: siteId ?? null,
    };
    if (!json.rights.length) return form.refuse({ errors: [{ pointer: "/rights", detail: "say what the program may do" }] });
    const { ok, body } = await admin.ask("POST", PATH, { json });
    if (!ok) return form.refuse(atFields(body, kind));
    await admin.refresh(["keys"]);
    admin.list.pick(body.keyId);
    once("The key is made", body.key);
  }
  /** An id in a list is a fault of its field; one about a vehicle that is not asked for is one about the charger. */
  const atFields = (problem, kind) => ({ ...problem, errors: problem.errors?.map((one) => ({ ...one, pointer: one.pointer.split("/", 2).join("/").replace(kind === "meter" ? "vehicleIds" : /$^/, "meterIds") })) });
  function pickNew() {
    const form = remembering(admin.form({ label: "New key", fields: fields(), submit: "Make the key", onSubmit: create }));
    form.get("binding").addEventListener("change", () => shape(form));
    detail().replaceChildren(head("New key"), form.element, h("div", { class: "admin-outcome", "aria-live": "polite" }));
    shape(form);
  }

  // ---- one that is there ----
  async function rotate({ both, ...rest }, form, one) {
    const until = new Date(admin.now() + Number(both) * HOUR_MS).toISOString();
    const { ok, body } = await admin.ask("POST", at(one.keyId, "/rotate"), { json: { ...rest, previousUntil: until } });
    if (!ok) return form.refuse(body);
    await admin.refresh(["keys"]);
    admin.list.pick(one.keyId);
    once("The key has another secret", body.key);
  }
  /** Asked twice: a revoked key stays revoked, and its devices are not heard from then on. */
  function revoking(one, form) {
    const button = admin.button("Revoke", async () => {
      if (!button.dataset.sure) {
        button.dataset.sure = "yes";
        button.textContent = "Revoke for good?";
        return;
      }
      const { note, by } = form().read();
      const { ok, body } = await admin.ask("DELETE", admin.path(at(one.keyId), { by, note }));
      if (!ok) return void said("It was not revoked", body.detail);
      await admin.refresh(["keys"]);
      admin.list.pick(one.keyId);
      said("The key is revoked", "It opens nothing any more, within five seconds everywhere.");
    }, "is-plain");
    button.addEventListener("blur", () => { delete button.dataset.sure; button.textContent = "Revoke"; });
    return button;
  }
  function pick(row) {
    const one = admin.lists.keys.find(({ keyId }) => keyId === row.key);
    if (!row.key) return pickNew();
    if (!one) return detail().replaceChildren(h("p", { class: "card-empty" }, "This key is not there."));
    const outcome = h("div", { class: "admin-outcome", "aria-live": "polite" }), top = head(one.name, one.keyId, admin.tag(one.state, LOOKS[one.state]));
    if (one.state === "revoked") return detail().replaceChildren(top, facts(one), outcome);
    let form = null;
    const fieldsOf = one.state === "valid" ? [{ name: "both", label: "Its secret now holds for another", kind: "choice", options: () => BOTH, value: "24", wide: true, hint: "Time to put the new one into the device." }, ...people()] : people();
    form = remembering(admin.form({ label: `Key ${one.name}`, fields: fieldsOf, submit: "Rotate", onSubmit: (values) => rotate(values, form, one), extra: [revoking(one, () => form)] }));
    if (one.state !== "valid") form.element.querySelector("[type=submit]").remove();
    detail().replaceChildren(top, facts(one), form.element, outcome);
    return undefined;
  }

  const CELLS = ["keyId", "name", "rights", "binding", "writes", "state", "createdAt", "createdBy", "lastUsedAt", "refused", "lastRefusedAt", "lastRefusedCode", "expiresAt", "rotatedAt", "revokedAt"];
  const SHOWS = { "": (row) => row.state !== "revoked", refused: (row) => row.refused > 0, unused: (row) => row.state === "valid" && row.usedMs === null, revoked: (row) => row.state === "revoked" };
  admin.tabs.keys = {
    grid: "admin-keys", param: "key", search: "Name, id or device", narrow: 2, hidden: true, lists: ["keys", "vehicles", "meters", "sites"], filters: [["", "In use"], ["refused", "Refused"], ["unused", "Never used"], ["revoked", "Revoked"]],
    rows: () => admin.lists.keys.map((one) => ({ ...one, key: one.keyId, vehicle: one.name, name: one.keyId, writes: writes(one), site: one.siteId, meterId: [...one.vehicleIds, ...one.meterIds].join("\n"), usedMs: admin.ms(one.lastUsedAt), expiresMs: admin.ms(one.expiresAt) })),
    shows: (row, show) => SHOWS[show](row),
    pick, fresh: () => ({ key: "", fresh: true }),
    export: { file: "voltledger-keys.csv", names: CELLS, cells: (row) => CELLS.map((cell) => (cell === "name" ? row.vehicle : cell === "rights" ? row.rights.join(" ") : row[cell])) },
  };
})();
