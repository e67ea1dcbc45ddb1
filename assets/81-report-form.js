// The controls of /reports: made once, filled from the choice, and told what the server did not accept.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, parts, reportChoice: rules } = voltledger;
  const byId = (id) => document.getElementById(id);
  const form = { sites: [] };
  const VERDICTS = voltledger.kinds.all.filter(({ kind }) => kind !== "critical");
  const SEVERAL = "\n"; // between ids, none of which holds one
  const FORMATS = { csv: "CSV", parquet: "Parquet", json: "JSON" };

  // ---- parts ----
  function radios(name, label, choices) {
    const one = ([value, text]) => h("label", { class: "segment" }, h("input", { type: "radio", name, value, id: `report-${name}-${value}` }), h("span", {}, text));
    return h("div", { class: "segments", role: "radiogroup", "aria-label": label, "data-field": name }, choices.map(one));
  }
  /** Where each choice needs a sentence. */
  function choices(name, label, all) {
    const one = ([value, { label: text, says }]) =>
      h("label", { class: "choice" }, h("input", { type: "radio", name, value, id: `report-${name}-${value}` }), h("span", {}, text, h("small", {}, says)));
    return h("div", { class: "choices", role: "radiogroup", "aria-label": label, "data-field": name }, all.map(one));
  }
  function field(name, label, control, hint) {
    control.id = `report-${name}`;
    control.name = name;
    control.setAttribute("aria-describedby", `report-${name}-hint report-${name}-error`);
    const under = h("p", { class: "field-hint", id: `report-${name}-hint` }, hint ?? "");
    return h("div", { class: "field", "data-field": name }, h("label", { for: control.id }, label), control, under);
  }
  const checkbox = (name, label) => h("label", { class: "check", "data-field": name }, h("input", { type: "checkbox", name, id: `report-${name}` }), h("span", {}, label));
  const text = (attributes) => h("input", { type: "text", autocomplete: "off", spellcheck: "false", ...attributes });
  const moment = () => h("input", { type: "datetime-local", step: "1", min: "2000-01-01T00:00", max: "2199-12-31T23:59" });
  const group = (legend, name, ...inside) => h("fieldset", { class: "report-group", "data-group": name }, h("legend", {}, legend), inside);

  function verdicts() {
    const one = ({ kind, label }) =>
      h("label", { class: "chip" }, h("input", { type: "checkbox", name: "verdict", value: kind, id: `report-verdict-${kind}` }), parts.glyph(kind), h("span", {}, label));
    return h("div", { class: "field", "data-field": "verdict" }, h("span", { class: "field-label", id: "report-verdict-label" }, "Verdict"),
      h("div", { class: "chips", role: "group", "aria-labelledby": "report-verdict-label" }, VERDICTS.map(one)), h("p", { class: "field-hint" }, "None chosen: all of them."));
  }
  const entries = (object) => Object.entries(object).map(([value, one]) => [value, one.label ?? one]);
  function zones() {
    const names = Intl.supportedValuesOf?.("timeZone") ?? [];
    return h("datalist", { id: "report-zones" }, ["UTC", ...names].map((value) => h("option", { value })));
  }

  /** The whole form, empty. */
  function made() {
    return [
      group("What", "what", choices("report", "Report", Object.entries(rules.REPORTS))),
      group("Window", "window", radios("window", "Window", entries(rules.WINDOWS)),
        h("div", { class: "field-row" }, field("from", "From (exclusive)", moment()), field("to", "To (inclusive)", moment()), field("day", "Day", h("input", { type: "date", min: "2001-01-01", max: "2198-12-31" }))),
        radios("last", "Length", entries(rules.LAST)),
        field("zone", "On the clocks of", text({ list: "report-zones", placeholder: "UTC" })), zones(),
        h("p", { class: "field-hint", id: "report-window-hint", role: "status" })),
      group("Only", "only", verdicts(), field("site", "Site", h("select", {})), field("vehicleId", "Vehicles", text({ placeholder: "van-7, van-8" }), "Ids with a comma or a space between, up to 100; empty: all of them.")),
      group("File", "file", radios("format", "Format", entries(FORMATS)),
        h("div", { class: "field-row", id: "report-csv" },
          field("separator", "Separator", h("select", {}, h("option", { value: "comma" }, "Comma ,"), h("option", { value: "semicolon" }, "Semicolon ;"))),
          field("decimal", "Decimals", h("select", {}, h("option", { value: "point" }, "Point 0.9"), h("option", { value: "comma" }, "Comma 0,9")))),
        checkbox("bom", "Byte order mark, for spreadsheets that read umlauts wrongly"), h("p", { class: "field-hint", id: "report-format-hint" })),
    ];
  }

  // ---- what they show ----
  const FORMAT = { csv: "", parquet: "Types, units and meanings are in the file; pandas reads it as it is.", json: "The window first, then the rows; ends with their number." };
  const check = (name, value) => { const one = byId(`report-${name}-${value}`); if (one) one.checked = true; };

  /** The choice into the controls. */
  function fill(choice) {
    for (const name of ["report", "window", "last", "format"]) check(name, choice[name]);
    for (const name of ["from", "to"]) byId(`report-${name}`).value = rules.local(choice[name], choice.zone);
    for (const name of ["day", "zone", "separator", "decimal"]) byId(`report-${name}`).value = choice[name];
    byId("report-vehicleId").value = choice.vehicleId.join(", ");
    offerSites(form.sites, choice.site);
    byId("report-bom").checked = choice.bom;
    for (const { kind } of VERDICTS) byId(`report-verdict-${kind}`).checked = choice.verdict.includes(kind);
    follow(choice);
  }

  /** Known sites to choose from, and what the address names: that may be several, or one that is not known yet. */
  function offerSites(known, chosen) {
    const names = new Map(known.map(({ siteId, name }) => [siteId, name || siteId])), several = chosen.join(SEVERAL);
    if (several && !names.has(several)) names.set(several, chosen.map((one) => names.get(one) ?? one).join(", "));
    const options = [["", "All sites"], ...names].map(([value, label]) => h("option", { value }, label));
    byId("report-site").replaceChildren(...options);
    byId("report-site").value = several;
  }

  const hide = (selector, hidden) => document.querySelectorAll(`#reports-form ${selector}`).forEach((one) => { one.hidden = hidden; });
  function words(choice) {
    const { window: kind, day, zone } = choice, hours = kind === "day" && rules.dayHours(day, zone);
    if (hours) return `${hours} hours${hours === 24 ? "" : ": the clocks are changed on this day"}, midnight to midnight in ${zone}.`;
    if (kind === "now") return "Ends when the file is asked for.";
    if (kind === "at") return rules.told(choice.to) ? `Ends at ${choice.to}.` : "";
    return kind === "range" ? "Empty “to”: until now. At most 400 days." : "";
  }
  /** What the choice makes of the controls: which there are, and what the hints say. */
  function follow(choice) {
    const uses = rules.used(choice), sites = choice.report === "sites";
    for (const name of ["from", "to", "day", "last", "verdict"]) hide(`[data-field=${name}]`, !uses.includes(name));
    byId("reports-form").querySelector("[data-group=only]").hidden = sites;
    hide("#report-csv", !uses.includes("separator"));
    hide("[data-field=bom]", !uses.includes("bom"));
    for (const value of Object.keys(FORMATS)) byId(`report-format-${value}`).closest(".segment").hidden = !rules.REPORTS[choice.report].formats.includes(value);
    const comma = byId("report-decimal").querySelector("[value=comma]");
    comma.disabled = choice.separator === "comma" && choice.decimal !== "comma";
    byId("report-decimal-hint").textContent = comma.disabled ? "A comma needs the semicolon." : "";
    byId("report-format-hint").textContent = FORMAT[choice.format] ?? "";
    byId("report-window-hint").textContent = words(choice);
  }

  // ---- what they say ----
  const chosen = (name) => byId("reports-form").querySelector(`input[name=${name}]:checked`)?.value;
  const times = ["from", "to"];
  /** The controls as a choice. An instant that nobody touched stays to the microsecond. */
  function read(before, touched) {
    const value = (name) => byId(`report-${name}`).value.trim(), choice = { ...before };
    for (const name of ["report", "window", "last", "format"]) choice[name] = chosen(name) ?? before[name];
    for (const name of ["day", "separator", "decimal"]) choice[name] = value(name);
    choice.zone = value("zone") || "UTC";
    for (const name of times) if (touched === name || touched === "zone") choice[name] = value(name) ? rules.instant(value(name), choice.zone) : "";
    choice.vehicleId = value("vehicleId").split(/[\s,;]+/).filter(Boolean);
    choice.site = value("site").split(SEVERAL).filter(Boolean);
    choice.bom = byId("report-bom").checked;
    choice.verdict = VERDICTS.map(({ kind }) => kind).filter((kind) => byId(`report-verdict-${kind}`).checked);
    return choice;
  }

  // ---- what was refused ----
  function clear() {
    for (const error of document.querySelectorAll("#reports-form .field-error")) error.remove();
    for (const control of document.querySelectorAll("#reports-form [aria-invalid]")) control.removeAttribute("aria-invalid");
  }
  /** The server's words at the control they are about. False where there is none to be seen. */
  function refuse(name, detail) {
    const place = [...document.querySelectorAll(`#reports-form [data-field="${CSS.escape(name)}"]`)].find((one) => one.offsetParent);
    if (!place) return false;
    place.querySelector("input, select")?.setAttribute("aria-invalid", "true");
    place.append(h("p", { class: "field-error", id: `report-${name}-error` }, detail));
    return true;
  }

  Object.assign(form, { made, fill, follow, read, clear, refuse, offerSites });
  voltledger.reportForm = form;
})();
