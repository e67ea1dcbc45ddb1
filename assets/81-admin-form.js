// Forms of the admin page: what was typed stays until it is saved, and what the API refuses stands at the field it names.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, admin } = voltledger;
  const MOST_OFFERED = 40; // a list of suggestions longer than this helps nobody
  let made = 0;

  const button = (words, onclick, look = "") => h("button", { type: "button", class: `button ${look}`.trim(), onclick }, words);
  admin.button = button;

  /** Suggestions while typing: those of `of()` that contain it. */
  function offering(input, of) {
    const list = h("datalist", { id: `${input.id}-list` });
    const fill = () => {
      const needle = input.value.trim().toLowerCase();
      const found = [];
      for (const [value, label] of of()) {
        if (value.toLowerCase().includes(needle) || (label ?? "").toLowerCase().includes(needle)) found.push(h("option", { value }, label ?? value));
        if (found.length === MOST_OFFERED) break;
      }
      list.replaceChildren(...found);
    };
    input.setAttribute("list", list.id);
    input.addEventListener("focus", fill);
    input.addEventListener("input", fill);
    return list;
  }
  const INPUTS = {
    text: () => h("input", { type: "text", autocomplete: "off", spellcheck: "false" }),
    number: () => h("input", { type: "text", inputmode: "decimal", autocomplete: "off" }),
    instant: () => h("input", { type: "datetime-local", step: "1" }),
    choice: ({ options }) => h("select", {}, options().map(([value, label]) => h("option", { value }, label))),
  };

  function control(field) {
    const id = `admin-field-${field.name}`, input = INPUTS[field.kind ?? "text"](field);
    Object.assign(input, { id, name: field.name, value: field.value ?? "" });
    input.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
    if (field.fixed) input.readOnly = true;
    const label = h("label", { for: id }, field.label, field.unit ? h("span", { class: "unit" }, ` ${field.unit}`) : null);
    const hint = h("small", { id: `${id}-hint`, class: "field-hint" }, field.hint ?? ""), error = h("div", { id: `${id}-error`, class: "field-error" });
    const box = h("div", { class: `field ${field.wide ? "is-wide" : ""}` }, label, input, field.offers ? offering(input, field.offers) : null, hint, error);
    return { field, input, error, box };
  }

  /** What stands in a field, as the API wants it: null where nothing does; a number that is none goes as it was typed, to be refused there. */
  function value({ field, input }) {
    const typed = input.value.trim();
    if (typed === "") return null;
    if (field.kind === "instant") return admin.instant(typed);
    if (field.kind !== "number") return typed;
    const number = Number(typed);
    return Number.isNaN(number) ? typed : Number((number / (field.times ?? 1)).toPrecision(12));
  }

  /** A form of `fields`; `onSubmit(values, form)`. Values are by name. */
  admin.form = function ({ label, fields, submit, onSubmit, extra = [] }) {
    const controls = fields.map(control), general = h("div", { class: "form-error", role: "alert", tabindex: "-1" });
    const send = h("button", { type: "submit", class: "button is-main" }, submit);
    const element = h("form", { class: "admin-form", "aria-label": label, novalidate: true, id: `admin-form-${(made += 1)}` },
      h("div", { class: "fields" }, controls.map(({ box }) => box)), general, h("div", { class: "admin-buttons" }, send, extra));
    const form = {
      element,
      get: (name) => controls.find(({ field }) => field.name === name)?.input,
      show: (name, seen) => { const found = controls.find(({ field }) => field.name === name); if (found) found.box.hidden = !seen; },
      read: () => Object.fromEntries(controls.filter(({ box }) => !box.hidden).map((one) => [one.field.name, value(one)])),
      set(name, to) {
        const input = form.get(name);
        if (input) { input.value = to ?? ""; input.dispatchEvent(new Event("input")); }
      },
      busy(on) { send.disabled = on; element.setAttribute("aria-busy", String(on)); },
      clear() { general.textContent = ""; controls.forEach(({ input, error }) => { error.textContent = ""; input.removeAttribute("aria-invalid"); }); },
      /** Says each fault at its field; what names none that is here stands above the buttons. */
      refuse(problem) {
        form.clear();
        const rest = [];
        for (const { pointer, detail } of problem.errors ?? []) {
          const at = controls.find(({ field, box }) => !box.hidden && `/${field.name}` === pointer);
          if (!at) { rest.push(`${pointer.slice(1)}: ${detail}`); continue; }
          at.error.textContent = detail;
          at.input.setAttribute("aria-invalid", "true");
        }
        const named = (problem.errors ?? []).length - rest.length;
        general.textContent = rest.join("; ") || (named ? "Nothing was changed: see the marked fields." : problem.detail ?? "It could not be done.");
        (controls.find(({ input }) => input.hasAttribute("aria-invalid"))?.input ?? general).focus();
      },
    };
    element.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (send.disabled) return;
      form.clear();
      form.busy(true);
      await onSubmit(form.read(), form);
      form.busy(false);
    });
    return form;
  };

  /** A table of plain cells; each head is a name, or [name, class]. On a phone each row is a block whose values are named. */
  admin.table = function (label, heads, rows, look = "") {
    const named = heads.map((head) => (Array.isArray(head) ? head : [head, ""]));
    const head = h("thead", {}, h("tr", {}, named.map(([name, align]) => h("th", { scope: "col", class: align }, name))));
    const body = rows.map((row) => h("tr", { class: row.look ?? null }, row.cells.map((cell, i) => h("td", { class: named[i][1], "data-label": named[i][0] }, cell))));
    return h("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": label }, h("table", { class: `readings admin-rows ${look}` }, head, h("tbody", {}, body)));
  };
  admin.tag = (words, look = "") => h("span", { class: `tag ${look}` }, words);
})();
