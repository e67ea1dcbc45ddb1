// The first rows of the report and what its columns mean, as tables.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, parts, format } = voltledger;
  const MOST_DIGITS = 4; // on the screen; the file has them all
  const NONE = () => h("span", { class: "is-none" }, format.NONE);

  function rounded(value) {
    const whole = Number.isInteger(value) ? 0 : MOST_DIGITS;
    return h("span", { title: String(value) }, value.toLocaleString("en-GB", { maximumFractionDigits: whole }));
  }
  function verdict(value, row) {
    return h("span", { class: "verdict" }, parts.glyph(voltledger.kinds.of(value, row.severity)), value);
  }
  /** The verdict's shape stands here too: its own column is far to the right. */
  function vehicle(id, row) {
    const kind = voltledger.kinds.of(row.verdict, row.severity);
    return h("span", { class: "verdict", title: voltledger.kinds.label(kind) }, parts.glyph(kind), h("a", { href: parts.vehicleHref(id), "data-nav": "" }, id));
  }
  function cell(column, row) {
    const value = row[column.key];
    if (format.absent(value) || value === "" || (Array.isArray(value) && !value.length)) return NONE();
    if (column.name === "verdict") return verdict(value, row);
    if (column.name === "vehicle_id") return vehicle(value, row);
    if (column.kind === "number" || column.kind === "count") return rounded(value);
    return column.kind === "texts" ? value.join(" ") : String(value);
  }
  const numeric = ({ kind }) => (kind === "number" || kind === "count" ? "is-number" : "");

  /** The columns by the names in the file, with their units. */
  function table(columns, rows, caption) {
    const head = columns.map((column) => h("th", { scope: "col", class: numeric(column), title: column.meaning }, column.name, column.unit && h("span", { class: "unit" }, ` ${column.unit}`)));
    const body = rows.map((row) => h("tr", {}, columns.map((column) => h("td", { class: numeric(column) || null }, cell(column, row)))));
    const whole = h("table", { class: "readings report-table" }, h("caption", {}, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
    return h("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "First rows of the report" }, whole);
  }

  function explained(columns) {
    const KINDS = { texts: "ids, a space between", number: "number", count: "whole number", flag: "true or false", instant: "RFC 3339, UTC", text: "text" };
    const row = ({ name, kind, unit, meaning }) =>
      h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), h("td", {}, KINDS[kind] ?? kind), h("td", {}, unit || NONE()), h("td", { class: "is-wordy" }, meaning));
    const head = ["Column", "Holds", "Unit", "What it says"].map((name) => h("th", { scope: "col" }, name));
    const whole = h("table", { class: "readings report-columns" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, columns.map(row)));
    return h("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "What the columns mean" }, whole);
  }

  // ---- the file of sites, which comes whole ----
  /** Lines of CSV as lists of cells. */
  function lines(text) {
    const rows = [[""]];
    let quoted = false;
    for (let i = 0; i < text.length; i++) {
      const one = text[i], row = rows.at(-1);
      if (one === '"') { if (quoted && text[i + 1] === '"') row[row.length - 1] += text[++i]; else quoted = !quoted; }
      else if (!quoted && one === ",") row.push("");
      else if (!quoted && one === "\n") rows.push([""]);
      else if (quoted || one !== "\r") row[row.length - 1] += one;
    }
    return rows.filter((row) => row.length > 1);
  }
  /** Rows by the columns' keys, as a preview has them. */
  function rowsOf(text, columns) {
    const [head, ...rows] = lines(text), known = new Map(columns.map((column) => [column.name, column]));
    const value = ({ kind }, word) => (word === "" ? null : kind === "number" || kind === "count" ? Number(word) : word);
    return rows.map((row) => Object.fromEntries(head.flatMap((name, i) => (known.has(name) ? [[known.get(name).key, value(known.get(name), row[i])]] : []))));
  }

  // ---- in words ----
  const many = (n, word) => `${format.number(n)} ${word}${n === 1 ? "" : "s"}`;
  /** How many rows the file will have. */
  function counted({ rowCount, rowCountIs, rows, lookedAt }) {
    if (rowCountIs === "exact") return many(rowCount, "row");
    if (rowCountIs === "unknown") return `more than ${many(rows.length, "row")}`;
    return rowCount ? `about ${many(rowCount, "row")}, as in the first ${many(lookedAt, "vehicle")}` : `perhaps none: not one among the first ${many(lookedAt, "vehicle")}`;
  }
  const clock = (text) => text.replace("T", " ").replace(/\.\d+/, "").replace("Z", "");
  /** The window as the server took it. */
  const spanned = ({ fromLocal, toLocal, zone, windowHours }) => `${clock(fromLocal)} to ${clock(toLocal)} ${zone}, ${format.number(windowHours, Number.isInteger(windowHours) ? 0 : 2)} h`;
  const caption = (rows, exact) =>
    `${exact ? (rows === 1 ? "The one row" : `All ${rows} rows`) : `The first ${rows} rows`}. Numbers are rounded here and not in the file; point at one to see all of it.`;

  voltledger.reportPreview = { table, explained, rowsOf, counted, spanned, clock, caption, many };
})();
