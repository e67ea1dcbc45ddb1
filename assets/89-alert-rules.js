// The rules of the alerts: what holds for whom, and a form that saves nothing before it has said what would have been.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin, format } = voltledger;
  const KINDS = { all: "all", site: "a site", vehicle: "a vehicle", meter: "a charger" };
  const NAMED = { site: "Site", vehicle: "Vehicle", meter: "Charger" };
  const OF = { site: ["sites", "siteId"], vehicle: ["vehicles", "vehicleId"], meter: ["meters", "meterId"] };
  const MOST_DIGITS = 6;
  const page = { rules: [], open: null, recoveries: 0 };
  const box = () => document.getElementById("alert-rules");

  // ---- values in words ----
  const inPercent = (setting) => setting.unit === "ratio" || setting.name === "share";
  const unit = (setting) => (inPercent(setting) ? "%" : setting.unit === "rhythms" ? "intervals" : setting.unit);
  const shown = (setting, value) => Number((inPercent(setting) ? value * 100 : value).toPrecision(MOST_DIGITS));
  const WORDS = { true: "on", false: "off", band: "the expected band", plain: "plain ratios" };
  function inWords(setting, value) {
    if (setting.name === "onlyWhileCharging") return value ? "yes" : "no";
    return setting.values ? WORDS[value] : `${shown(setting, value)} ${unit(setting)}`;
  }
  const named = ({ kind, id, name }) => (kind === "all" ? "All" : `${NAMED[kind]} ${name && name !== id ? `${name} (${id})` : id}`);
  const settings = (rule, given) => rule.settings.filter(({ name }) => name in given).map((one) => `${one.label.toLowerCase()}: ${inWords(one, given[one.name])}`).join(", ");
  const when = (instant) => `${format.moment(instant)} ${format.zoneName(instant)}`;
  const who = ({ by, changedAt, note }) => (changedAt ? `${by}, ${when(changedAt)}${note ? `: ${note}` : ""}` : "set elsewhere, as in Admin");

  // ---- what holds ----
  function exception(rule, one) {
    const { scope } = one, words = `${rule.name}, ${named(scope)}`;
    return h("li", { class: "rule-set" },
      h("div", { class: "grow" }, h("b", {}, `${named(scope)}:`), ` ${settings(rule, one.settings)}`, h("small", {}, who(one))),
      h("div", { class: "rule-buttons" },
        h("button", { type: "button", class: "button is-small", "aria-label": `Change ${words}`, onclick: () => open(rule.rule, scope) }, "Change"),
        h("button", { type: "button", class: "button is-small", "aria-label": `Take back ${words}`, onclick: () => takeBack(rule, scope) }, "Take back")));
  }
  function card(rule) {
    const add = rule.scopes.length > 1 && h("button", { type: "button", class: "button", "aria-label": `Set ${rule.name} for one`, onclick: () => open(rule.rule, { kind: rule.scopes[1], id: "" }) }, rule.scopes.includes("vehicle") ? "For a site or device" : "For a site");
    const all = h("button", { type: "button", class: "button", "aria-label": `Change ${rule.name} for all`, onclick: () => open(rule.rule, { kind: "all", id: "" }) }, "Change for all");
    return h("section", { class: `card rule-card${rule.values.enabled ? "" : " is-off"}`, id: `rule-${rule.rule}`, "aria-labelledby": `rule-${rule.rule}-name` },
      h("div", { class: "card-head" }, h("h2", { id: `rule-${rule.rule}-name` }, rule.name, rule.values.enabled ? null : h("span", { class: "count" }, "off")), h("div", { class: "rule-buttons" }, all, add || null)),
      h("p", { class: "rule-says" }, rule.says),
      h("ul", { class: "rule-sets" }, rule.set.map((one) => exception(rule, one))),
      h("div", { class: "rule-said", role: "status" }),
      h("div", { class: "rule-form" }));
  }
  const of = (name) => document.getElementById(`rule-${name}`);

  /** Draws the cards anew; a form that is open goes with its card into the new one. */
  function draw() {
    const forms = new Map(page.rules.map(({ rule }) => [rule, of(rule)?.querySelector(".rule-form")]));
    const cards = page.rules.map((rule) => {
      const made = card(rule), form = forms.get(rule.rule);
      if (form?.childElementCount) made.querySelector(".rule-form").replaceWith(form);
      return made;
    });
    document.getElementById("alert-rules-list").replaceChildren(...cards);
  }

  // ---- reading ----
  async function read() {
    const { ok, body } = await admin.ask("GET", "/v1/alert-rules");
    if (!box()) return;
    const note = document.getElementById("alert-rules-note");
    note.hidden = ok;
    note.textContent = ok ? "" : page.rules.length ? "The rules could not be read anew; these are as they were read last. It is tried again when the database is back." : "The rules cannot be read yet. It is tried again when the database is back.";
    if (!ok) { setTimeout(() => box() && !note.hidden && read(), 5_000); return; }
    page.rules = body.rules;
    draw();
    box().dataset.state = "ready";
    const asked = new URLSearchParams(window.location.search), rule = asked.get("rule");
    if (rule && !page.open && of(rule)) open(rule, { kind: asked.get("kind") ?? "all", id: asked.get("id") ?? "" });
  }
  const replace = (rule) => { page.rules = page.rules.map((one) => (one.rule === rule.rule ? rule : one)); draw(); };
  const say = (name, words, wrong = false) => { const at = of(name)?.querySelector(".rule-said"); if (at) { at.textContent = words; at.classList.toggle("is-wrong", wrong); } };

  async function takeBack(rule, scope) {
    const { ok, body } = await admin.ask("DELETE", admin.path(`/v1/alert-rules/${rule.rule}`, { kind: scope.kind, id: scope.id, by: admin.who() }));
    if (!ok) return say(rule.rule, body.detail, true);
    replace(body);
    say(rule.rule, `${named(scope)}: taken back. What holds more widely holds again.`);
    of(rule.rule).querySelector("button").focus();
  }

  // ---- the form ----
  function keepInAddress(rule, scope) {
    const asked = rule ? { rule, kind: scope.kind, ...(scope.id && { id: scope.id }) } : {}, text = new URLSearchParams(asked).toString();
    window.history.replaceState(window.history.state, "", window.location.pathname + (text ? `?${text}` : ""));
  }
  const inherits = (scope) => (scope.kind === "all" ? "As by default" : "As more widely set");
  function field(setting, given, scope) {
    const value = given[setting.name], name = `settings/${setting.name}`, known = value === undefined || value === null;
    if (setting.values) {
      const options = [["", scope.kind === "all" ? `${inherits(scope)} (${inWords(setting, setting.default)})` : inherits(scope)], ...setting.values.map((one) => [String(one), inWords(setting, one)])];
      return { name, label: setting.label, kind: "choice", hint: setting.hint, value: known ? "" : String(value), options: () => options };
    }
    const [least, most] = [shown(setting, setting.least), shown(setting, setting.most)];
    return { name, label: setting.label, unit: unit(setting), kind: "number", times: inPercent(setting) ? 100 : 1, value: known ? "" : shown(setting, value), hint: `${setting.hint} ${least} to ${most}; empty: ${inherits(scope).toLowerCase()}${scope.kind === "all" ? ` (${shown(setting, setting.default)} ${unit(setting)})` : ""}.` };
  }
  /** Ids and names to choose from, as the admin page has them. */
  function offers(kind) {
    const [list, id] = OF[kind];
    return () => admin.lists[list].map((one) => [one[id], one.name]);
  }
  function fields(rule, scope, given) {
    const of_ = rule.scopes.length > 1 ? [{ name: "scope/kind", label: "For", kind: "choice", value: scope.kind, options: () => rule.scopes.map((kind) => [kind, KINDS[kind]]) }] : [];
    if (scope.kind !== "all") of_.push({ name: "scope/id", label: `${NAMED[scope.kind]}'s id`, value: scope.id, offers: offers(scope.kind) });
    return [...of_, ...rule.settings.map((one) => field(one, given, scope)), { name: "by", label: "Who", value: admin.who() }, { name: "note", label: "Why" }];
  }
  const given = (rule, scope) => rule.set.find((one) => one.scope.kind === scope.kind && one.scope.id === scope.id)?.settings ?? {};
  const BOOLEANS = { true: true, false: false };
  /** What the form says, as the API wants it. */
  function wanted(values, scope) {
    const found = {};
    for (const [name, value] of Object.entries(values)) if (name.startsWith("settings/")) found[name.slice(9)] = BOOLEANS[value] ?? value;
    return { scope: { kind: scope.kind, id: scope.kind === "all" ? "" : values["scope/id"] ?? "" }, settings: found };
  }

  function open(name, scope) {
    const rule = page.rules.find((one) => one.rule === name), place = of(name).querySelector(".rule-form");
    if (!rule.scopes.includes(scope.kind)) scope = { kind: "all", id: "" };
    document.querySelectorAll("#alert-rules .rule-form").forEach((one) => one.replaceChildren());
    say(name, "");
    keepInAddress(name, scope);
    const save = h("button", { type: "button", class: "button", disabled: true, onclick: () => store(rule, scope, form) }, "Save");
    const cancel = h("button", { type: "button", class: "button is-plain", onclick: () => close(name) }, "Cancel");
    const outcome = h("div", { class: "rule-outcome", role: "status" });
    const form = admin.form({ label: `${rule.name} for ${KINDS[scope.kind]}`, fields: fields(rule, scope, given(rule, scope)), submit: "Preview", onSubmit: (values) => preview(rule, scope, form, values), extra: [save, cancel, h("small", { class: "rule-hint" }, "Save can be pressed once the preview has said what would change.")] });
    const submit = form.element.querySelector("[type=submit]");
    /** Which of the two comes next stands out. */
    const ready = (on) => { save.disabled = !on; save.classList.toggle("is-main", on); submit.classList.toggle("is-main", !on); };
    Object.assign(form, { save, outcome, ready });
    page.open = form;
    place.replaceChildren(form.element, outcome);
    form.element.addEventListener("input", () => { form.ready(false); form.tried = null; outcome.replaceChildren(); });
    form.get("scope/kind")?.addEventListener("change", ({ target }) => { open(name, { kind: target.value, id: "" }); page.open.get("scope/kind").focus(); });
    form.get("scope/id")?.addEventListener("change", ({ target }) => { if (Object.keys(given(rule, { kind: scope.kind, id: target.value.trim() })).length) open(name, { kind: scope.kind, id: target.value.trim() }); });
    if (scope.kind !== "all") admin.load([OF[scope.kind][0]]);
    place.scrollIntoView({ block: "nearest" });
    (form.get("scope/id") ?? form.get("scope/kind") ?? form.get("settings/enabled")).focus({ preventScroll: true });
  }
  function close(name) {
    of(name).querySelector(".rule-form").replaceChildren();
    page.open = null;
    keepInAddress(null);
    of(name).querySelector("button").focus();
  }

  async function preview(rule, scope, form, values) {
    const asked = wanted(values, scope);
    form.outcome.replaceChildren(h("p", { class: "is-muted" }, "Looking back at the last 7 days…"));
    const { ok, body } = await admin.ask("POST", "/v1/alert-rules/preview", { json: { rule: rule.rule, ...asked } });
    if (page.open !== form) return;
    form.outcome.replaceChildren();
    if (!ok) { form.refuse(body); return; }
    if (JSON.stringify(wanted(form.read(), scope)) !== JSON.stringify(asked)) return; // typed on meanwhile
    form.tried = asked;
    form.ready(true);
    form.outcome.replaceChildren(...told(rule, body));
  }
  async function store(rule, scope, form) {
    const values = form.read();
    if (!form.tried || form.save.disabled) return;
    form.save.disabled = true;
    const { ok, body } = await admin.ask("PUT", `/v1/alert-rules/${rule.rule}`, { json: { ...form.tried, by: values.by, note: values.note } });
    if (!ok) { form.save.disabled = false; form.refuse(body); return; }
    if (values.by) admin.rememberWho(values.by);
    const { scope: of_ } = form.tried;
    close(rule.rule);
    replace(body);
    say(rule.rule, `Saved for ${of_.kind === "all" ? "all" : `${NAMED[of_.kind].toLowerCase()} ${of_.id}`}. The whole product judges by it from now on.`);
    of(rule.rule).querySelector("button").focus();
  }

  // ---- what a preview says ----
  const points = (rule, margin) => (rule.rule === "low_efficiency" ? `${format.number(Math.abs(margin) * 100, 1)} points below` : rule.rule === "battery_hot" ? `${format.number(Math.abs(margin), 1)} °C above` : rule.rule === "device_silent" ? `silent ${format.age(-margin)} beyond stale` : "");
  function episode(rule, one) {
    return one ? `${when(one.firedAt)}, ${one.severity}${one.resolvedAt ? "" : ", open"}${points(rule, one.margin) ? `, ${points(rule, one.margin)}` : ""}` : "none";
  }
  function device({ kind, id }) {
    return h("a", { href: kind === "vehicle" ? voltledger.parts.vehicleHref(id) : voltledger.parts.chargerHref(id), "data-nav": "" }, id);
  }
  function told(rule, found) {
    const head = h("p", { class: "rule-told" }, found.says);
    if (!found.previewable || !found.of) return [head];
    const severity = ({ warning, critical, devices }) => `${format.number(warning)} warning, ${format.number(critical)} critical, at ${format.number(devices)} ${devices === 1 ? "device" : "devices"}`;
    const how = `Now: ${severity(found.now)}. New: ${severity(found.new)}. ${format.number(found.deviceDays)} days of devices, ${when(found.from)} to ${when(found.to)}, looked at every ${found.stepS / 60} minutes by the same rules, with what has come in since.`;
    const rows = found.examples.map((one) => ({ cells: [device(one), episode(rule, one.now), episode(rule, one.new)] }));
    const table = rows.length ? admin.table(`${rule.name}: the newest alert of each`, [NAMED[found.examples[0].kind], "Newest alert now", "With the new value"], rows) : null;
    return [head, h("p", { class: "is-muted" }, how), table].filter(Boolean);
  }

  voltledger.live.watch(({ recoveries }) => {
    if (!box() || recoveries === page.recoveries || voltledger.live.stale()) return;
    page.recoveries = recoveries;
    read();
  });
  window.addEventListener("voltledger:zone", () => box() && page.rules.length && draw());
  document.addEventListener("keydown", (event) => {
    const name = event.key === "Escape" && box() && event.target.closest?.(".rule-card")?.id.slice(5);
    if (name && of(name).querySelector(".rule-form").childElementCount) close(name);
  });
  Object.assign(window.dash_clientside.voltledger, {
    alertRulesMounted() {
      Object.assign(page, { open: null, recoveries: voltledger.live.recoveries });
      if (page.rules.length) draw(); // as last read, until they are read anew
      read();
      return null;
    },
  });
})();
