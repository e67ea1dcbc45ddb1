// The alerts that need someone, in the fleet page's panel; and, on the alerts page, vehicles that are low over the day without being an alert.
(function () {
  "use strict";
  const { voltledger } = window;
  const { h, parts, format, live, views } = voltledger;
  const byId = (id) => document.getElementById(id);
  const RULES = { low_efficiency: "Low efficiency", suspect_measurement: "Suspect measurement", device_silent: "Device silent", battery_hot: "Battery hot", site_dark: "Site dark" };
  const MOST_LOW = 50; // the fleet's table has them all
  const kindOf = (severity) => (severity === "critical" ? "critical" : "low");
  const nameOf = (a) => (a.kind === "ingestion" ? "All readings" : a.name || a.subjectId);

  function newRow(a) {
    const about = [parts.glyph(kindOf(a.severity)), h("span", { class: "alert-who" }, h("b", {}), h("small", {})), h("span", { class: "alert-much" }, h("b", {}), h("small", {}))];
    const select = () => voltledger.fleet.select(a.subjectId);
    const row = a.kind === "vehicle" ? h("button", { type: "button", class: "alert-row", onclick: select }, about) : h("a", { class: "alert-row", href: `/alerts/${a.episodeId}`, "data-nav": "" }, about);
    return h("li", { class: "alert-todo" }, row, a.kind === "vehicle" ? h("a", { href: `/alerts/${a.episodeId}`, "data-nav": "", "aria-label": `Evidence: ${nameOf(a)}` }, "Evidence") : null);
  }
  function fillRow(item, a) {
    const [glyph, who, much] = item.firstChild.children, energy = !format.absent(a.efficiencyRatio);
    glyph.className = parts.glyph(kindOf(a.severity)).className;
    views.text(who.children[0], nameOf(a));
    views.text(who.children[1], [RULES[a.rule] ?? a.rule, a.site].filter(Boolean).join(" · "));
    views.text(much.children[0], energy ? format.percent(a.efficiencyRatio) : a.severity);
    views.text(much.children[1], energy && a.margin < 0 ? `${format.number(-a.margin * 100, 1)} points short` : `since ${format.clock(a.firedAt, false)}`);
  }
  /** "5 vehicles low over 24 h, …", or nothing where none is. */
  views.lowWords = function (more) {
    const many = live.picture ? live.picture.vehicles.verdict.filter((verdict) => verdict === "low").length : 0;
    return many ? `${format.number(many)} ${many === 1 ? "vehicle" : "vehicles"} low over 24 h, ${more}` : "";
  };
  views.alertList = function (picture) {
    const list = byId("alert-list");
    if (!list) return;
    views.keyed(list, picture.alerts, (a) => String(a.episodeId), newRow, fillRow);
    byId("alert-none").hidden = picture.alerts.length > 0;
    views.text(byId("alert-none"), ["No open alert waits for anyone.", views.lowWords("listed under All alerts")].filter(Boolean).join(" "));
    views.text(byId("alert-count"), picture.alerts.length ? format.number(picture.figures.alertsToDo ?? picture.alerts.length) : "");
  };

  // ---- low over 24 hours, and no alert ----
  /** Vehicles that the day's verdict calls low, worst first, but those with an open alert on the page. */
  function low() {
    const { vehicles } = live.picture, has = new Set([...document.querySelectorAll("#alerts-list [data-rule=low_efficiency]")].map((row) => row.dataset.subject));
    const found = vehicles.id.map((id, i) => ({ id, i })).filter(({ id, i }) => vehicles.verdict[i] === "low" && !has.has(id));
    return found.map(({ id }) => live.vehicle(id)).sort((a, b) => (a.severity !== "critical") - (b.severity !== "critical") || a.efficiency - b.efficiency);
  }
  function lowRow() {
    const two = (name) => h("span", { class: name }, h("b", {}), h("small", {}));
    return h("li", { class: "alert-item" }, h("a", { class: "alert-line", "data-nav": "" }, h("span", {}), two("alert-who"), two("alert-what"), two("alert-much")));
  }
  function fillLow(item, v) {
    const line = item.firstChild, [glyph, who, what, much] = line.children, kind = kindOf(v.severity);
    line.setAttribute("href", parts.vehicleHref(v.id));
    glyph.className = parts.glyph(kind).className;
    views.text(who.children[0], v.name || v.id);
    views.text(who.children[1], [v.name && v.name !== v.id ? v.id : null, v.site].filter(Boolean).join(" · "));
    views.text(what.children[0], voltledger.kinds.label(kind));
    views.text(what.children[1], "over 24 h");
    views.text(much.children[0], format.percent(v.efficiency));
    views.text(much.children[1], format.absent(v.expectedLow) ? "plain threshold" : `expected ${format.band(v.expectedLow, v.expectedHigh)}`);
  }
  const anyFilter = () => Boolean(window.location.search.replace("?", ""));
  views.lowWithoutAlert = function () {
    const box = byId("alerts-low");
    if (!box || !live.picture) return;
    const found = anyFilter() ? [] : low();
    box.hidden = !found.length;
    if (!found.length) return;
    if (!box.firstChild) {
      box.append(h("h2", { id: "alerts-low-title" }, "Low over 24 hours, no alert ", h("span", { class: "count" })),
        h("p", { class: "is-muted" }, "Too little evidence in any one window yet, or over already. An alert comes when it holds."), h("ul", { class: "card alert-items" }), h("p", {}));
    }
    const [title, , list, more] = box.children;
    views.text(title.querySelector(".count"), format.number(found.length));
    views.keyed(list, found.slice(0, MOST_LOW), (v) => v.id, lowRow, fillLow);
    more.replaceChildren(...(found.length > MOST_LOW ? [h("a", { href: "/?verdict=critical,low", "data-nav": "" }, `and ${format.number(found.length - MOST_LOW)} more in the fleet's table`)] : []));
  };
  live.watch(views.lowWithoutAlert);
})();
