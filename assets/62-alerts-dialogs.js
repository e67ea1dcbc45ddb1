// What people do with an alert, in dialogs: acknowledge it, silence what it is about. What is typed stays whatever the clock brings.
(function () {
  "use strict";
  const { voltledger } = window, { h } = voltledger;
  const RULES = { low_efficiency: "Low efficiency", suspect_measurement: "Suspect measurement", device_silent: "Device silent", battery_hot: "Battery hot", site_dark: "Site dark" };
  const KINDS = { vehicle: "Vehicle", meter: "Charger", site: "Site", ingestion: "Everything" };
  const HOUR_S = 3600;
  const LENGTHS = [["1 hour", HOUR_S], ["4 hours", 4 * HOUR_S], ["1 day", 24 * HOUR_S], ["7 days", 168 * HOUR_S], ["30 days", 720 * HOUR_S]];
  const KEYS = [["j or ↓", "next alert"], ["k or ↑", "previous alert"], ["Enter", "open it"], ["a", "acknowledge"], ["s", "silence"], ["/", "search"], ["u", "back to the list"], ["?", "these keys"], ["Esc", "close"]];
  const alerts = {};

  /** A modal dialog that gives the focus back where it was. */
  function dialog(title, ...body) {
    document.querySelector("dialog.alert-dialog")?.remove();
    const before = document.activeElement?.closest?.("[data-row]")?.dataset.row, element = document.activeElement;
    const close = h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: () => box.close() }, h("span", { class: "icon icon-close" }));
    const box = h("dialog", { class: "alert-dialog", "aria-labelledby": "alert-dialog-title" }, h("div", { class: "card-head" }, h("h2", { id: "alert-dialog-title" }, title), close), ...body);
    box.addEventListener("close", () => { box.remove(); if (element?.isConnected) element.focus(); else if (before) alerts.focusRow?.(before); });
    document.body.append(box);
    box.showModal();
    return box;
  }

  /** Send it; what is refused stands at its field, what is done closes the dialog and draws the page anew. */
  async function send(box, form, method, path, json) {
    const { ok, body } = await voltledger.admin.ask(method, path, { json });
    if (!ok) return form.refuse(body);
    if (json.by) voltledger.admin.rememberWho(json.by);
    box.close();
    return alerts.refresh?.();
  }
  const by = () => ({ name: "by", label: "Who", value: voltledger.admin.who(), hint: "Your name, for the record." });

  alerts.acknowledge = function (about) {
    const note = { name: "note", label: "Note", wide: true, hint: "What you know or will do. Others read it here." };
    const form = voltledger.admin.form({
      label: "Acknowledge", submit: "Acknowledge", fields: [note, by()],
      onSubmit: (values, made) => send(box, made, "POST", `/v1/alerts/${about.row}/acknowledge`, values),
    });
    const box = dialog(`Acknowledge: ${about.name}`, form.element);
    form.get("note").focus();
  };

  /** The fields of a silence; `about` is the alert that made somebody do so, or nothing. */
  function fields(about) {
    const rules = () => [["", "Every rule"], ...Object.entries(RULES)], kinds = () => [["", "Everything"], ...Object.entries(KINDS).filter(([kind]) => kind !== "ingestion" || about?.kind === "ingestion")];
    return [
      { name: "rule", label: "Rule", kind: "choice", options: rules, value: about?.rule },
      { name: "kind", label: "About", kind: "choice", options: kinds, value: about?.kind },
      { name: "id", label: "Its id", value: about?.subject, hint: "Empty: every one" },
      { name: "siteId", label: "Only at site", value: "", hint: about?.site ? `Its own is ${about.site}` : "A site's id; empty: everywhere" },
      { name: "durationS", label: "For", kind: "choice", options: () => [...LENGTHS.map(([words, seconds]) => [String(seconds), words]), ["", "until…"]], value: String(4 * HOUR_S) },
      { name: "endsAt", label: "Until", kind: "instant", hint: `In ${voltledger.zone.name()}; a year at most` },
      { name: "reason", label: "Why", wide: true, hint: "For those who wonder why nobody was told." },
      by(),
    ];
  }
  function asked({ kind, id, durationS, endsAt, ...rest }, about) {
    const until = durationS ? { durationS: Number(durationS) } : { endsAt };
    return { ...rest, ...until, reason: rest.reason ?? "", subject: kind && id ? { kind, id } : null, ...(about ? { episodeId: Number(about.row) } : {}) };
  }
  alerts.silence = function (about) {
    const form = voltledger.admin.form({
      label: "Silence", submit: "Silence", fields: fields(about),
      onSubmit: (values, made) => {
        if (Boolean(values.kind) !== Boolean(values.id)) return made.refuse({ errors: [{ pointer: values.id ? "/kind" : "/id", detail: "Both or neither: say what the id is of, or leave both open." }] });
        return send(box, made, "POST", "/v1/silences", asked(values, about));
      },
    });
    const length = form.get("durationS"), until = () => form.show("endsAt", length.value === "");
    length.addEventListener("change", until);
    until();
    const note = h("p", { class: "alert-note" }, "No notices for what matches. The alerts themselves go on being recorded.");
    const box = dialog(about ? `Silence: ${about.name}` : "New silence", note, form.element);
    form.get(about ? "reason" : "rule").focus();
  };

  alerts.endSilence = async function (button) {
    button.disabled = true;
    const who = voltledger.admin.who();
    const { ok, body } = await voltledger.admin.ask("DELETE", voltledger.admin.path(`/v1/silences/${button.dataset.endSilence}`, { by: who }));
    button.disabled = false;
    if (!ok) return alerts.say(body.detail);
    return alerts.refresh?.();
  };
  /** Something could not be done. */
  alerts.say = (words) => { dialog("That did not work", h("p", { class: "alert-note" }, words)); };

  alerts.keys = function () {
    const list = h("dl", { class: "facts" }, KEYS.map(([key, words]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, words)]).flat());
    dialog("Keys", h("div", { class: "alert-keys-list" }, list));
  };
  voltledger.alerts = alerts;
})();
