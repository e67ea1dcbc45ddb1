// Where Dash calls the alerts pages: when they are due, their filters in the address, and what the server drew.
(function () {
  "use strict";
  const { voltledger } = window, { alerts } = voltledger;
  const EVERY_S = 60;
  const byId = (id) => document.getElementById(id);
  const drawn = new Map(); // store → when its page was last due, for which address, and after what
  const unchanged = () => window.dash_clientside.no_update;
  const pageOf = (id) => id.replace(/-due$/, "");

  /** Whatever is on the screen, at once: somebody did something. */
  alerts.refresh = function () {
    for (const page of ["alerts", "history", "silences", "alert", "subject-alerts"]) if (byId(`${page}-page`) || (page === "subject-alerts" && byId(page))) window.dash_clientside.set_props(`${page}-due`, { data: `now ${Date.now()}` });
  };

  function look(page, state) {
    const root = byId(`${page}-page`);
    if (!root || !state) return;
    const nobody = state === "calm" && voltledger.live.picture && !voltledger.live.picture.figures.vehicles;
    root.dataset.state = nobody ? "empty" : state;
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.voltledgerAlerts = {
    /** A word that changes when the page is due: an alert took a step, somebody did something, the database came back, or a minute went by. */
    due(_, before, id) {
      const { live } = voltledger, now = window.performance.now() / 1000, mark = `${live.picture?.alertsMark} ${live.recoveries} ${window.location.pathname}`;
      const last = drawn.get(id);
      const waits = ["loading", "away"].includes(byId(`${pageOf(id)}-page`)?.dataset.state) && now - (last?.at ?? 0) > 5;
      if (before && last && last.mark === mark && now - last.at < EVERY_S && !waits) return unchanged();
      const first = !before || !last;
      drawn.set(id, { mark, at: now });
      // The picture that comes after the page changes nothing that was not read just now.
      if (!first && last.mark.startsWith("undefined") && now - last.at < EVERY_S && !waits) return unchanged();
      return `${mark} ${Math.round(now)}`;
    },
    painted(made, id) {
      if (!made) return null;
      alerts.paint(made.parts);
      look(pageOf(id), made.state);
      if (made.look) byId("alert-page")?.classList.toggle("is-over", made.look === "is-over");
      voltledger.views.all();
      voltledger.views.lowWithoutAlert();
      return null;
    },
    /** Filters in the address; another choice begins with the first page. */
    filtered(q, state, severity, rule, site, id, before) {
      const page = pageOf(id), path = page === "alerts" ? "/alerts" : `/alerts/${page}`;
      if (window.location.pathname !== path) return unchanged();
      const values = { q, state, severity, rule, site }, chosen = JSON.stringify(Object.values(values).map((value) => value || ""));
      const first = !before || before.chosen === null, same = first || before.chosen === chosen;
      const url = new URL(window.location.href);
      url.searchParams.delete("vehicle");
      for (const [name, value] of Object.entries(values)) if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
      if (!same) url.searchParams.delete("before");
      window.history.replaceState(window.history.state, "", url.pathname + url.search);
      return same && before?.chosen === chosen ? unchanged() : { before: same ? before?.before ?? null : null, chosen };
    },
  };
})();
