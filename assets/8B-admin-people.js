// People: added with a one-time password that is shown once, given another role, disabled, logged out everywhere.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin } = voltledger;
  const PATH = "/v1/people", PAGE = 10_000;
  const ROLES = [["viewer", "Viewer: sees"], ["technician", "Technician: tends alerts too"], ["analyst", "Analyst: takes reports too"], ["admin", "Administrator: everything"]];
  const MAY_LOG_IN = [["yes", "yes"], ["no", "no: disabled"]];
  const STATES = { active: "active", invited: "invited", lapsed: "invitation lapsed", disabled: "disabled" };
  const LOOKS = { active: "is-live", invited: "is-changed", lapsed: "is-changed", disabled: "" };
  const detail = () => document.getElementById("admin-detail");
  const at = (id, path = "") => `${PATH}/${id}${path}`;

  admin.lists.people = [];
  admin.loaders.people = async () => {
    const found = [];
    for (let after = 0; after !== null;) {
      const { ok, body } = await admin.ask("GET", admin.path(PATH, { limit: PAGE, after }));
      if (!ok) throw new Error(body.detail);
      found.push(...body.people);
      after = body.next;
    }
    return found;
  };

  const head = (title, of, tag) => h("div", { class: "card-head" }, h("div", { class: "grow" }, h("h2", {}, title), of ? h("div", { class: "card-of" }, of) : null), tag);
  const by = () => ({ name: "by", label: "Who", value: admin.who(), hint: "Your name, for the record.", wide: true });
  const outcome = () => h("div", { class: "admin-outcome", "aria-live": "polite" });
  const said = (title, words) => detail().querySelector(".admin-outcome")?.replaceChildren(h("h3", {}, title), words ? h("p", {}, words) : "");
  function facts(one) {
    const lines = [
      ["Logs in as", one.email], ["Last log-in", one.lastLogInAt ? admin.moment(one.lastLogInAt) : "never"], ["Logged in now", one.openLogIns ? `in ${one.openLogIns} ${one.openLogIns === 1 ? "place" : "places"}` : "nowhere"],
      ["Wrong passwords", one.failed ? `${voltledger.format.number(one.failed)}, the last ${admin.moment(one.lastFailedAt)}` : "never"], ["Added", `${admin.moment(one.createdAt)} by ${one.createdBy}`],
      one.oneTimeUntil ? ["One-time password holds until", admin.moment(one.oneTimeUntil)] : ["Password of", admin.moment(one.passwordAt)],
    ];
    return h("dl", { class: "key-facts" }, lines.flatMap(([name, words]) => [h("dt", {}, name), h("dd", {}, words)]));
  }
  function once(title, one) {
    const secret = h("code", { class: "key-shown", id: "admin-password-shown", tabindex: "0" }, one.oneTimePassword);
    const copy = h("button", { type: "button", class: "button", "data-copy": secret.id }, "Copy");
    const words = `It is shown this once: give it to ${one.name} on a safe way. It opens the log-in until ${admin.moment(one.oneTimeUntil)}, and has to be changed there first.`;
    const heading = h("h3", { tabindex: "-1" }, title);
    detail().querySelector(".admin-outcome")?.replaceChildren(heading, h("p", {}, words), h("div", { class: "key-once" }, secret, copy));
    heading.focus();
  }

  async function create(values, form) {
    const { ok, body } = await admin.ask("POST", PATH, { json: values });
    if (!ok) return form.refuse(body);
    await admin.refresh(["people"]);
    admin.list.pick(String(body.personId));
    return once("They are added, with a one-time password", body);
  }
  function pickNew() {
    const fields = [
      { name: "email", label: "E-mail address", wide: true, hint: "What they log in with. Nothing is sent there." }, { name: "name", label: "Name", wide: true },
      { name: "role", label: "Role", kind: "choice", options: () => ROLES, value: "viewer", wide: true }, by(),
    ];
    const form = admin.form({ label: "Somebody new", fields, submit: "Add them", onSubmit: create });
    detail().replaceChildren(head("Somebody new"), form.element, outcome());
  }

  async function save({ active, ...rest }, form, one) {
    const { ok, body } = await admin.ask("PUT", at(one.personId), { json: { ...rest, active: active === "yes" } });
    if (!ok) return form.refuse(body);
    await admin.refresh(["people"]);
    admin.list.pick(String(one.personId));
    const ended = one.openLogIns - body.openLogIns;
    return said("It is saved", ended > 0 ? "Their log-ins are ended, open pages too." : "");
  }
  /** Asked twice: it ends what somebody is doing. */
  function sure(words, question, done) {
    const button = admin.button(words, async () => {
      if (!button.dataset.sure) { button.dataset.sure = "yes"; button.textContent = question; return; }
      await done();
    }, "is-plain");
    button.addEventListener("blur", () => { delete button.dataset.sure; button.textContent = words; });
    return button;
  }
  const newPassword = (one) => sure("One-time password", "Log them out and make one?", async () => {
    const { ok, body } = await admin.ask("POST", at(one.personId, "/password"), { json: { by: admin.who() || null } });
    if (!ok) return said("No password was made", body.detail);
    await admin.refresh(["people"]);
    admin.list.pick(String(one.personId));
    return once("They have a one-time password", body);
  });
  const endAll = (one) => sure("End log-ins", "Log them out everywhere?", async () => {
    const { ok, body } = await admin.ask("DELETE", admin.path(at(one.personId, "/log-ins"), { by: admin.who() }));
    if (!ok) return said("They were not ended", body.detail);
    await admin.refresh(["people"]);
    admin.list.pick(String(one.personId));
    return said("Their log-ins are ended", "Open pages of theirs ask for the log-in at their next step.");
  });
  function pick(row) {
    const one = admin.lists.people.find(({ personId }) => String(personId) === row.key);
    if (!row.key) return pickNew();
    if (!one) return detail().replaceChildren(h("p", { class: "card-empty" }, "This person is not there."));
    const fields = [
      { name: "name", label: "Name", value: one.name, wide: true }, { name: "role", label: "Role", kind: "choice", options: () => ROLES, value: one.role, wide: true },
      { name: "active", label: "May log in", kind: "choice", options: () => MAY_LOG_IN, value: one.active ? "yes" : "no", wide: true }, by(),
    ];
    const form = admin.form({ label: `Person ${one.name}`, fields, submit: "Save", onSubmit: (values) => save(values, form, one), extra: [newPassword(one), one.openLogIns ? endAll(one) : null].filter(Boolean) });
    return detail().replaceChildren(head(one.name, one.email, admin.tag(STATES[one.state], LOOKS[one.state])), facts(one), form.element, outcome());
  }

  const CELLS = ["personId", "email", "name", "role", "state", "createdAt", "createdBy", "lastLogInAt", "openLogIns", "failed", "lastFailedAt"];
  const SHOWS = { "": (row) => row.active, disabled: (row) => !row.active, failed: (row) => row.failed > 0 };
  admin.tabs.people = {
    grid: "admin-people", param: "person", search: "Name or address", narrow: 2, hidden: true, lists: ["people"], filters: [["", "May log in"], ["disabled", "Disabled"], ["failed", "Wrong passwords"]],
    rows: () => admin.lists.people.map((one) => ({ ...one, key: String(one.personId), vehicle: one.name, name: one.email, seenMs: admin.ms(one.lastLogInAt) })),
    shows: (row, show) => SHOWS[show](row),
    pick, fresh: () => ({ key: "", fresh: true }),
    export: { file: "voltledger-people.csv", names: CELLS, cells: (row) => CELLS.map((cell) => (cell === "name" ? row.vehicle : cell === "email" ? row.name : row[cell])) },
  };
})();
