// Where Dash calls us: the functions behind the clientside callbacks, and the links that change page without loading it anew.
(function () {
  "use strict";
  const { voltledger } = window;
  const clientside = (window.dash_clientside = window.dash_clientside || {});

  voltledger.go = function (href) {
    window.history.pushState({}, "", href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate", {}));
    window.scrollTo(0, 0);
  };

  function follow(event) {
    const link = event.target.closest?.("a[data-nav], a[data-filter]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const url = new URL(link.href);
    if (link.dataset.filter !== undefined && url.pathname === "/" && window.location.pathname === "/") return filterHere(url);
    voltledger.go(url.pathname + url.search);
  }
  function filterHere(url) {
    voltledger.fleet.fill(voltledger.fleet.fromQuery(url.search));
    const sort = url.searchParams.get("sort");
    if (sort) { voltledger.fleet.setSort(sort); voltledger.table.sortBy(sort); }
    document.getElementById("fleet-list")?.scrollIntoView({ behavior: "smooth", block: "nearest" });
  }
  document.addEventListener("click", follow);
  /** Escape lets go of the vehicle; Enter in the search takes the first that was found and hands the keyboard to its panel. */
  function key(event) {
    if (window.location.pathname !== "/" || event.defaultPrevented) return;
    const search = event.target.id === "fleet-q", panel = document.getElementById("vehicle-panel");
    if (event.key === "Escape" && voltledger.fleet.selected) {
      if (panel.contains(document.activeElement)) document.getElementById("fleet-q").focus();
      voltledger.fleet.select(null);
    }
    if (event.key === "Enter" && search && voltledger.fleet.find(event.target.value)) panel.focus({ preventScroll: window.innerWidth >= 700 });
  }
  document.addEventListener("keydown", key);

  function copy(event) {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    navigator.clipboard?.writeText(source.textContent).then(() => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); });
  }
  document.addEventListener("click", copy);

  /** What a part of the vehicle page was last drawn with. */
  const drawn = new Map();
  /** A number that grows when this part is due: with a new reading, but not sooner than `everyS` after the last time, and at once when the database came back. */
  function due(part, vehicleId, everyS, before) {
    const { live } = voltledger, index = live.at.get(vehicleId), now = window.performance.now() / 1000;
    const reading = index === undefined ? null : live.picture.vehicles.recordedAt[index], last = drawn.get(part);
    const same = { vehicleId, reading, recoveries: live.recoveries };
    if (before === null || before === undefined || last?.vehicleId !== vehicleId) { drawn.set(part, { ...same, at: now }); return 0; }
    if (last.reading === null) last.reading = reading; // the picture came after the page
    const back = last.recoveries !== live.recoveries;
    if (!back && (last.reading === reading || now - last.at < everyS)) return window.dash_clientside.no_update;
    drawn.set(part, { ...same, at: now });
    return before + 1;
  }

  clientside.voltledger = {
    /** The one clock of every page. */
    async tick() {
      await voltledger.live.tick();
    },
    /** A page was drawn: mark it in the navigation and fill it. */
    navigated(pathname) {
      for (const link of document.querySelectorAll("[data-page]")) {
        const here = link.dataset.page === "/" ? pathname === "/" || /^\/(vehicles|chargers)(\/|$)/.test(pathname) : pathname.startsWith(link.dataset.page);
        if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
      }
      voltledger.views.all();
      return null;
    },
    mounted() {
      voltledger.views.all();
      return null;
    },
    fleetMounted(_, selected) {
      voltledger.hookMaps();
      Object.assign(voltledger.fleet, { fresh: true, selected: selected || null });
      voltledger.table.attach();
      voltledger.live.show();
      return null;
    },
    filtered(q, verdict, site, state) {
      voltledger.fleet.setFilter({ q: q ?? "", verdict: verdict ?? [], site: site ?? [], state: state || null });
      return null;
    },
    cleared(clicks) {
      if (clicks) voltledger.fleet.fill({});
    },
    closed(clicks) {
      if (clicks) voltledger.fleet.select(null);
    },
    shownOnMap(clicks, vehicleId) {
      if (clicks && vehicleId) voltledger.fleetMap.show(vehicleId);
    },
    downloaded(clicks) {
      if (clicks) voltledger.table.download();
    },
    chosenScheme(value) {
      if (value && value !== voltledger.scheme.choice()) voltledger.scheme.choose(value);
    },
    chosenZone(value) {
      if (value && value !== voltledger.zone.choice()) voltledger.zone.choose(value);
    },
    /** Tells the server-drawn parts how this viewer sees the page, and the controls what was remembered. */
    viewer() {
      const { set_props: set } = window.dash_clientside;
      const seen = () => ({ zone: voltledger.zone.name(), scheme: voltledger.scheme.shown() });
      const tell = () => {
        set("viewer", { data: seen() });
        set("mantine", { forceColorScheme: voltledger.scheme.shown() });
      };
      window.addEventListener("voltledger:scheme", tell);
      window.addEventListener("voltledger:zone", tell);
      set("scheme-choice", { value: voltledger.scheme.choice() });
      set("zone-choice", { value: voltledger.zone.choice() });
      set("mantine", { forceColorScheme: voltledger.scheme.shown() });
      return seen();
    },
    /** When this vehicle last reported, as far as the picture knows, and how often the database came back: the page is drawn anew when it changes. */
    beat(_, vehicleId, before) {
      const index = voltledger.live.at.get(vehicleId);
      const beat = `${index === undefined ? "" : voltledger.live.picture.vehicles.recordedAt[index]}/${voltledger.live.recoveries}`;
      return beat === before ? window.dash_clientside.no_update : beat;
    },
    /** When the chosen range is due again: over 24 hours with every reading, longer ones once a minute. Nothing is due while nothing came. */
    windowDue(_, vehicleId, range, before) {
      return due("window", vehicleId, range === "24h" ? 0 : 60, before);
    },
    chargersDue(_, vehicleId, before) {
      return due("chargers", vehicleId, 60, before);
    },
    /** Fills the vehicle page's cards with what the server drew, or empties them for another vehicle. */
    painted(live, window_, chargers, chart) {
      voltledger.paint(live, ["vehicle-now", "vehicle-readings"]);
      voltledger.paint(window_, ["vehicle-verdict", "vehicle-losses", "vehicle-sessions"]);
      voltledger.paint(chart, ["vehicle-shown", "vehicle-history"]);
      voltledger.paint(chargers, ["vehicle-chargers", "vehicle-assignments"]);
      return null;
    },
  };
})();
