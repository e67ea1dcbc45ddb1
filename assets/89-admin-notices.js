// How people are told of alerts: the channels, a form for each, a test whose outcome is shown as it becomes known, and what was sent.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin } = voltledger;
  const PATH = "/v1/notice-channels";
  const ASK_MS = 700, ASKED_FOR_MS = 60_000, PATIENT_MS = 12_000; // a test takes a second or two; after that it is said what may be wrong
  const NEWEST = 10;
  const KINDS = [["webhook", "Webhook"], ["email", "E-mail"], ["apprise", "Other service"]];
  const WANTS = [["warning", "Every alert"], ["critical", "Critical ones only"]];
  const ON = [["on", "On"], ["off", "Off"]], SECRET = [["keep", "Stays"], ["new", "Make a new one"]];
  const ADDRESSES = { webhook: "https://… of the receiver", email: "somebody@example.org", apprise: "slack://…, tgram://…, ntfys://host/topic …" };
  const detail = () => document.getElementById("admin-detail");
  const at = (id, path = "") => `${PATH}/${id}${path}`;
  const label = (kinds, value) => kinds.find(([one]) => one === value)?.[1] ?? value;
  let showing = 0; // what is picked changes while an answer is under way

  admin.lists.channels = [];
  admin.loaders.channels = async () => {
    const { ok, body } = await admin.ask("GET", PATH);
    if (!ok) throw new Error(body.detail);
    return body.channels;
  };

  function state(one) {
    if (!one.enabled) return "off";
    if (one.lastFailedAt && !(admin.ms(one.lastSentAt) > admin.ms(one.lastFailedAt))) return "failing";
    return one.lastSentAt ? "works" : "not tried yet";
  }
  const zones = () => (window.Intl.supportedValuesOf?.("timeZone") ?? []).map((one) => [one]);
  const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
  function fields(one) {
    return [
      { name: "name", label: "Name", value: one.name, wide: true },
      { name: "kind", label: "Way", kind: "choice", options: () => KINDS, value: one.kind ?? "webhook" },
      { name: "enabled", label: "Switched", kind: "choice", options: () => ON, value: one.enabled === false ? "off" : "on" },
      { name: "address", label: "Address", wide: true, hint: one.channelId ? "Empty: stays as it is. It is not shown whole." : "" },
      { name: "leastSeverity", label: "Hears of", kind: "choice", options: () => WANTS, value: one.leastSeverity ?? "warning", wide: true },
      { name: "digestAt", label: "Daily digest at", value: one.digestAt, hint: "Like 07:00. Empty: none." },
      { name: "digestZone", label: "On the clocks of", value: one.digestZone ?? ownZone(), offers: zones, hint: "An IANA name like Europe/Berlin." },
      { name: "secret", label: "Secret of the signature", kind: "choice", options: () => SECRET, value: "keep", wide: true },
      { name: "by", label: "Who", value: admin.who(), hint: "Your name, for the record.", wide: true },
    ];
  }
  function shape(form, one) {
    const kind = form.get("kind").value;
    form.get("address").placeholder = ADDRESSES[kind];
    form.show("secret", kind === "webhook" && Boolean(one.channelId));
  }
  const LOOKS = { works: "is-live", failing: "is-changed" };
  const mark = (one) => admin.tag(state(one), LOOKS[state(one)] ?? "");
  const known = (id) => admin.lists.channels.find(({ channelId }) => channelId === id);
  function pick(row) {
    const one = known(Number(row.key)) ?? {}, there = Boolean(one.channelId);
    showing += 1;
    if (row.unknown && !there) return detail().replaceChildren(h("p", { class: "card-empty" }, "This channel is not there any more."));
    const form = admin.form({ label: there ? `Channel ${one.name}` : "New channel", fields: fields(one), submit: there ? "Save" : "Add", onSubmit: (values) => save(values, form, one), extra: there ? [testing(one), deleting(one)] : [] });
    form.get("kind").addEventListener("change", () => shape(form, one));
    form.get("by").addEventListener("change", () => admin.rememberWho(form.get("by").value.trim()));
    shape(form, one);
    const head = h("div", { class: "card-head" }, h("div", { class: "grow" }, h("h2", {}, one.name ?? "New channel"), there ? h("div", { class: "card-of" }, one.address) : null), there ? h("div", { class: "notice-state" }, mark(one)) : null);
    detail().replaceChildren(head, one.lastError && state(one) === "failing" ? h("p", { class: "admin-warning notice-error" }, `Last failure, ${admin.moment(one.lastFailedAt)}: ${one.lastError}`) : "", form.element, h("div", { class: "admin-outcome", "aria-live": "polite" }), h("div", { class: "notice-sent" }));
    if (there) sent(one);
  }

  const outcome = (...parts) => detail().querySelector(".admin-outcome")?.replaceChildren(...parts);
  async function save({ secret, enabled, address, digestZone, ...rest }, form, one) {
    const json = { ...rest, enabled: enabled !== "off", digestZone: digestZone ?? "UTC", ...(address && { address }), ...(secret === "new" && { newSecret: true }) };
    if (!one.channelId && !address) return form.refuse({ errors: [{ pointer: "/address", detail: "say where notices shall go" }] });
    const { ok, body } = await admin.ask(one.channelId ? "PUT" : "POST", one.channelId ? at(one.channelId) : PATH, { json });
    if (!ok) return form.refuse(body);
    await admin.refresh(["channels"]);
    admin.list.pick(String(body.channelId));
    const title = h("h3", { tabindex: "-1" }, one.channelId ? "Saved" : "Added. Send it a test to see whether it arrives.");
    const once = body.secret ? [h("p", {}, "Its secret, by which the receiver knows that a notice is ours. It is shown this once:"), h("code", { class: "notice-secret", tabindex: "0" }, body.secret)] : [];
    outcome(title, ...once);
    title.focus();
  }

  // ---- a test ----
  function testing(one) {
    const button = admin.button("Send a test", async () => {
      button.disabled = true;
      await test(one, showing);
      button.disabled = false;
    });
    if (!one.enabled) { button.disabled = true; button.title = "Switch the channel on first"; }
    return button;
  }
  async function test(one, of) {
    const { ok, body } = await admin.ask("POST", admin.path(at(one.channelId, "/test"), { by: admin.who() }));
    if (!ok) return outcome(h("h3", {}, "No test was sent"), h("p", {}, body.detail));
    const began = Date.now();
    for (let said = ""; of === showing && Date.now() - began < ASKED_FOR_MS;) {
      const { ok: read, body: found } = await admin.ask("GET", `/v1/notices?id=${body.noticeId}`);
      if (of !== showing) return undefined;
      const notice = read ? found.notices[0] : null, words = told(notice, Date.now() - began);
      if (words.join() !== said) outcome(h("h3", {}, words[0]), words[1] ? h("p", {}, words[1]) : "");
      said = words.join();
      if (notice && notice.state !== "waiting") break;
      await new Promise((done) => { setTimeout(done, ASK_MS); });
    }
    await admin.refresh(["channels"]);
    if (of !== showing || !known(one.channelId)) return undefined;
    detail().querySelector(".notice-state")?.replaceChildren(mark(known(one.channelId)));
    sent(one);
    return undefined;
  }
  function told(notice, waitedMs) {
    if (notice?.state === "sent") return [`The test was sent, ${admin.moment(notice.sentAt)}`, "Look whether it has arrived."];
    if (notice?.state === "givenUp") return ["The test failed", notice.lastError];
    if (notice?.tries) return ["The test is under way …", ""];
    return waitedMs < PATIENT_MS ? ["The test waits to be sent …", ""] : ["The test still waits", "Notices are sent by the alerting program, which the product runs beside its web server. It seems not to be running, or has much to do."];
  }

  // ---- taking away: asked twice, because an address cannot be read back ----
  function deleting(one) {
    const button = admin.button("Delete", async () => {
      if (!button.dataset.sure) {
        button.dataset.sure = "yes";
        button.textContent = "Delete for good?";
        return;
      }
      const { ok, body } = await admin.ask("DELETE", admin.path(at(one.channelId), { by: admin.who() }));
      if (!ok) return void outcome(h("h3", {}, "It was not deleted"), h("p", {}, body.detail));
      await admin.refresh(["channels"]);
      admin.list.pick("");
    }, "is-plain");
    button.addEventListener("blur", () => { delete button.dataset.sure; button.textContent = "Delete"; });
    return button;
  }

  // ---- what it was sent ----
  const STATES = { sent: "sent", waiting: "waits", givenUp: "given up" };
  function line(one) {
    const when = one.sentAt ?? one.gaveUpAt ?? one.triedAt ?? one.createdAt;
    const tries = one.tries > 1 ? `${one.tries} tries` : "";
    return { cells: [admin.moment(when), one.title, h("span", {}, [STATES[one.state], tries].filter(Boolean).join(", "), one.lastError && one.state !== "sent" ? h("small", {}, ` ${one.lastError}`) : null)] };
  }
  async function sent(one) {
    const of = showing, { ok, body } = await admin.ask("GET", admin.path("/v1/notices", { channel: one.channelId, limit: NEWEST }));
    const box = detail()?.querySelector(".notice-sent");
    if (of !== showing || !box || !ok) return;
    const table = body.notices.length ? admin.table("Newest notices", ["When", "Notice", "State"], body.notices.map(line)) : h("p", { class: "card-empty" }, "Nothing was sent to it yet.");
    box.replaceChildren(h("h3", {}, "Newest notices"), table);
  }

  const CELLS = ["channelId", "name", "kind", "address", "enabled", "leastSeverity", "digestAt", "digestZone", "lastSentAt", "lastFailedAt", "lastError"];
  admin.tabs.notices = {
    grid: "admin-notices", param: "channel", search: "Channel, way or address", narrow: 2, lists: ["channels"], filters: [["", "All"], ["failing", "Failing"], ["off", "Off"]],
    rows: () => admin.lists.channels.map((one) => ({ ...one, key: String(one.channelId), vehicle: one.name, site: one.address, model: label(KINDS, one.kind), kindWords: label(KINDS, one.kind), state: state(one), sentMs: admin.ms(one.lastSentAt), failedMs: admin.ms(one.lastFailedAt) })),
    shows: (row, show) => !show || row.state === show,
    pick, fresh: () => ({ key: "", fresh: true }),
    export: { file: "voltledger-notice-channels.csv", names: CELLS, cells: (row) => CELLS.map((cell) => row[cell]) },
  };
})();
