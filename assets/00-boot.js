// Runs in the head, before the first paint: the colour scheme (so that nothing flashes) and the first request for the fleet's picture
// (so that it travels while the rest of the page still loads). Loaded again with the other assets, it does nothing.
(function () {
  "use strict";
  if (window.voltledger) return;

  const SCHEME_KEY = "mantine-color-scheme-value"; // the one the component kit reads
  const ZONE_KEY = "voltledger-zone";
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  /** Private windows may refuse storage: then a choice lasts as long as the page. */
  const remembered = {};
  function recall(key, fallback) {
    try { return window.localStorage.getItem(key) || remembered[key] || fallback; } catch { return remembered[key] || fallback; }
  }
  function remember(key, value) {
    remembered[key] = value;
    try { window.localStorage.setItem(key, value); } catch { /* see above */ }
  }

  const scheme = {
    /** "auto", "light" or "dark", as chosen. */
    choice: () => recall(SCHEME_KEY, "auto"),
    /** "light" or "dark", as seen. */
    shown: () => (scheme.choice() === "auto" ? (system.matches ? "dark" : "light") : scheme.choice()),
    choose(value) { remember(SCHEME_KEY, value); scheme.apply(); },
    apply() {
      document.documentElement.setAttribute("data-mantine-color-scheme", scheme.shown());
      window.dispatchEvent(new CustomEvent("voltledger:scheme", { detail: scheme.shown() }));
    },
  };

  const here = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const zone = {
    /** "viewer" or "utc". */
    choice: () => recall(ZONE_KEY, "viewer"),
    /** IANA name of the zone in which times are shown. */
    name: () => (zone.choice() === "utc" ? "UTC" : here),
    choose(value) { remember(ZONE_KEY, value); window.dispatchEvent(new CustomEvent("voltledger:zone", { detail: zone.name() })); },
  };

  window.voltledger = {
    scheme,
    zone,
    first: window.fetch("/live/fleet", { cache: "no-store", credentials: "same-origin" }).catch(() => null),
  };
  scheme.apply();
  system.addEventListener("change", scheme.apply);
})();
