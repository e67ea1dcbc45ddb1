// Numbers and times as text. Missing is "–", never 0. The same words as dashboard/format.py.
(function () {
  "use strict";
  const { voltledger } = window;
  const NONE = "–";
  const absent = (value) => value === null || value === undefined || Number.isNaN(value);
  const makers = new Map();

  /** Intl formatters are dear to make, so each is made once. */
  function formatter(maker, options) {
    const key = maker.name + JSON.stringify(options);
    if (!makers.has(key)) makers.set(key, new maker("en-GB", options));
    return makers.get(key);
  }
  const number = (value, digits = 0) =>
    absent(value) ? NONE : formatter(Intl.NumberFormat, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
  /** Energy and power: three figures are enough to read, small values keep their decimals. */
  const amount = (value) => number(value, absent(value) || !value || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
  const percent = (ratio, digits = 1) => (absent(ratio) ? NONE : `${number(ratio * 100, digits)} %`);
  const band = (low, high) => (absent(low) || absent(high) ? NONE : `${number(low * 100, 1)}–${number(high * 100, 1)} %`);
  const money = (value, currency) =>
    absent(value) ? NONE : formatter(Intl.NumberFormat, { style: "currency", currency, maximumFractionDigits: value >= 1000 ? 0 : 2 }).format(value);

  function age(seconds) {
    if (absent(seconds)) return NONE;
    const s = Math.max(0, Math.round(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 2 * 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d`;
  }

  const inZone = (options) => formatter(Intl.DateTimeFormat, { ...options, timeZone: voltledger.zone.name(), hourCycle: "h23" });
  const clock = (instant, seconds = true) =>
    absent(instant) ? NONE : inZone({ hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }) }).format(new Date(instant));
  const moment = (instant) =>
    absent(instant) ? NONE : inZone({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(new Date(instant));
  const zoneName = (instant) =>
    inZone({ timeZoneName: "short" }).formatToParts(new Date(instant)).find((part) => part.type === "timeZoneName")?.value ?? voltledger.zone.name();

  voltledger.format = { NONE, absent, number, amount, percent, band, money, age, clock, moment, zoneName };

  /** An element from data. Text only ever becomes a text node, so a name can be any text. */
  voltledger.h = function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "onclick") element.addEventListener("click", value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
  };
  const { h } = voltledger;
  voltledger.parts = {
    glyph: (kind) => h("span", { class: `glyph glyph-${voltledger.kinds.shape(kind)} kind-${kind}`, "aria-hidden": "true" }),
    quantity: (value, unit) => h("span", { class: "quantity" }, value, h("span", { class: "unit" }, ` ${unit}`)),
    vehicleHref: (id) => `/vehicles/${encodeURIComponent(id)}`,
    chargerHref: (id) => `/chargers/${encodeURIComponent(id)}`,
  };
})();
