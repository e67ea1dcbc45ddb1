// One zoom for all panels of a chart, kept in the address: `from` and `to` beside the `range` they lie in. A drag, a link or Back changes it,
// and the server draws the part that is looked at as fine as suits it. Every step is one entry of the history.
(function () {
  "use strict";
  const { voltledger } = window;
  const clientside = window.dash_clientside;
  const SETTLED_MS = 200; // a drag or a row of clicks becomes one question
  const SHORTEST_MS = 15 * 60_000; // as dashboard/over.py
  const LONGEST_MS = 400 * 86_400_000;
  // What the address said when the page came, and what it is zoomed to now.
  const page = { name: null, path: null, range: null, at: null, chosen: null, zoom: null };
  let waiting = null;

  const z = (ms) => new Date(Math.round(ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
  const query = () => new URLSearchParams(window.location.search);
  const box = () => document.getElementById(`${page.name}-graph`);
  const plot = () => box()?.querySelector(".js-plotly-plot");
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  /** The address's range: a name, or two instants. */
  function rangeOf(asked) {
    if (asked.get("range")) return asked.get("range");
    return !asked.get("at") && (asked.get("from") || asked.get("to")) ? `${asked.get("from") ?? ""}/${asked.get("to") ?? ""}` : "24h";
  }
  function zoomOf(asked) {
    const own = asked.get("range") || asked.get("at");
    return own && asked.get("from") && asked.get("to") ? [asked.get("from"), asked.get("to")] : null;
  }

  function address(zoom) {
    const url = new URL(window.location.href), { searchParams } = url;
    searchParams.delete("from");
    searchParams.delete("to");
    if (zoom || page.range !== "24h") searchParams.set("range", page.range); else searchParams.delete("range");
    if (zoom) { searchParams.set("from", zoom[0]); searchParams.set("to", zoom[1]); }
    return url.pathname + url.search.replaceAll("%3A", ":").replaceAll("%2F", "/");
  }

  /** Zoom to two instants, or to the whole with null. */
  function show(zoom, remember = true) {
    window.clearTimeout(waiting);
    if (!page.name || same(zoom, page.zoom)) return;
    page.zoom = zoom;
    if (remember) window.history.pushState({}, "", address(zoom));
    clientside.set_props(`${page.name}-zoom`, { data: zoom });
  }
  function soon(zoom) {
    window.clearTimeout(waiting);
    waiting = window.setTimeout(show, SETTLED_MS, zoom);
  }

  /** A place on the axis, as Plotly tells it, as an instant in ms. */
  function instant(place, offsetMs) {
    const text = String(place).trim().replace(" ", "T");
    return (typeof place === "number" ? place : Date.parse(text.length > 10 ? `${text}Z` : text)) - offsetMs;
  }
  /** Not shorter than the shortest, and not into the future. */
  function proper(from, to) {
    const wider = Math.max(0, SHORTEST_MS - (to - from)) / 2, now = voltledger.live.now() * 1000;
    const end = Math.min(to + wider, now), begin = Math.max(Math.min(from - wider, end - SHORTEST_MS), end - LONGEST_MS);
    return [z(begin), z(end)];
  }
  function relayout(event) {
    if (event["xaxis.autorange"]) return soon(null);
    const from = event["xaxis.range[0]"] ?? event["xaxis.range"]?.[0], to = event["xaxis.range[1]"] ?? event["xaxis.range"]?.[1];
    const { offsetMs } = plot().layout.meta ?? {};
    if (from === undefined || to === undefined || offsetMs === undefined) return undefined;
    return soon(proper(instant(from, offsetMs), instant(to, offsetMs)));
  }

  /** What lies under the pointer in the strip, where the pointer is in the strip: elsewhere the same instant is meant, not the session. */
  function click(event) {
    const point = event.points?.find((one) => one.data.meta === "strip");
    if (!point) return;
    const { _offset: top, _length: height } = point.yaxis, y = event.event.clientY - plot().getBoundingClientRect().top;
    if (y < top - 4 || y > top + height + 4) return;
    const [, span, href] = point.customdata;
    if (href) voltledger.go(href);
    else document.querySelector(`#${page.name}-sessions [data-session="${span}"] a[data-zoom]`)?.click() ?? show(proper(...span.split("/").map((at) => Date.parse(at))));
  }

  function link(event) {
    const asked = event.target.closest?.("a[data-zoom]");
    if (!asked || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    show(asked.dataset.zoom ? proper(...asked.dataset.zoom.split("/").map((at) => Date.parse(at))) : null);
    if (asked.dataset.zoom) box().closest(".card").scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("click", link);

  /** Back and forward between zooms of one page: the page stays, only its charts change. Heard before Dash hears it. */
  function moved(event) {
    const asked = query();
    if (!page.name || window.location.pathname !== page.path || rangeOf(asked) !== page.range || asked.get("at") !== page.at) return;
    event.stopImmediatePropagation();
    show(zoomOf(asked), false);
  }
  window.addEventListener("popstate", moved);

  const listening = new WeakSet();
  /** The chart may come after its data, on a busy machine long after it: until then no drag would be heard. */
  function listen(tries = 1200) {
    const chart = plot();
    if (!chart?.on) { if (tries) window.setTimeout(listen, 50, tries - 1); return; }
    if (listening.has(chart)) return;
    listening.add(chart);
    chart.on("plotly_relayout", relayout);
    chart.on("plotly_click", click);
    chart.dataset.heard = "true";
  }

  Object.assign(clientside.voltledger, {
    /** A page with charts came. */
    zoomKept() {
      const { outputs_list: into } = clientside.callback_context, [name] = into.id.split("-"), asked = query(), range = rangeOf(asked);
      window.clearTimeout(waiting);
      Object.assign(page, { name, path: window.location.pathname, range, at: asked.get("at"), chosen: range.includes("/") ? range : null, zoom: zoomOf(asked) });
      return null;
    },
    /** Its charts were drawn. */
    zoomHeard() {
      listen();
      return null;
    },
    /** Another range is a view of its own, without a zoom. */
    zoomLeft(range) {
      window.clearTimeout(waiting);
      Object.assign(page, { range: range === "chosen" ? page.chosen : range, zoom: null });
      if (window.location.pathname === page.path) window.history.replaceState(window.history.state, "", address(null));
      return null;
    },
    /** Which sessions the charts show: whole ones, where somebody zoomed. */
    zoomMarked(_, zoom) {
      const { outputs_list: into } = clientside.callback_context, [name] = into.id.split("-");
      const [from, to] = (zoom ?? []).map((at) => Date.parse(at));
      for (const row of document.querySelectorAll(`#${name}-sessions [data-session]`)) {
        const [start, end] = row.dataset.session.split("/").map((at) => Date.parse(at));
        row.classList.toggle("is-shown", Boolean(zoom) && start >= from && end <= to);
      }
      return null;
    },
  });
})();
