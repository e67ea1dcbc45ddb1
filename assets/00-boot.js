// Runs in the head, before the first paint: the colour scheme (so that nothing flashes), what every request says of the log-in, and the first
// request for the fleet's picture (so that it travels while the rest of the page still loads). Loaded again with the other assets, it does nothing.
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

  // ---- the log-in: every request says what proves that it is this page's, and who is told to log in is led there and back ----
  const CSRF = /(?:^|; )_csrf_token=([^;]*)/, READS = ["GET", "HEAD"];
  const plain = window.fetch.bind(window);
  let touched = true, leaving = false; // the page was just opened
  for (const event of ["pointerdown", "keydown", "wheel"]) window.addEventListener(event, () => { touched = true; }, { passive: true, capture: true });
  function leave(to) {
    if (!leaving) { leaving = true; window.location.assign(to); }
  }
  window.fetch = async function (what, options = {}) {
    const url = new URL(what instanceof Request ? what.url : what, window.location.href);
    if (url.origin !== window.location.origin) return plain(what, options);
    const headers = new Headers(options.headers ?? (what instanceof Request ? what.headers : {}));
    const token = CSRF.exec(document.cookie)?.[1];
    if (token && !READS.includes((options.method ?? what.method ?? "GET").toUpperCase())) headers.set("X-CSRFToken", token);
    if (token && touched && !url.pathname.startsWith("/assets/")) { headers.set("X-Person-Active", "1"); touched = false; }
    const answer = await plain(what, { ...options, headers });
    const logIn = answer.status === 401 && answer.headers.get("X-Log-In");
    if (logIn) leave(`${logIn}?next=${encodeURIComponent(window.location.pathname + window.location.search)}`);
    if (answer.status === 403 && answer.headers.get("X-Refused-Page")) leave(window.location.href);
    return leaving ? new Promise(() => {}) : answer; // nobody is to be told of an error on a page that is left
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
    /** Whether whoever looks at the page may do this; everybody may where nobody logs in. */
    may: (action) => !document.documentElement.dataset.may || document.documentElement.dataset.may.split(" ").includes(action),
    first: "plainPage" in document.documentElement.dataset ? null : window.fetch("/live/fleet", { cache: "no-store", credentials: "same-origin" }).catch(() => null),
  };
  scheme.apply();
  system.addEventListener("change", scheme.apply);
})();
