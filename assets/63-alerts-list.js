// The lists of alerts: the keyboard walks them, and new data leaves the line that is looked at where it is.
(function () {
  "use strict";
  const { voltledger } = window, { alerts } = voltledger;
  const byId = (id) => document.getElementById(id);
  const HEADER_PX = 60; // what the page's own header covers
  const here = () => /^\/alerts(\/|$)/.test(window.location.pathname);
  const lines = () => [...document.querySelectorAll(".alerts li[data-row] > .alert-line")].filter((line) => line.checkVisibility());
  const rowOf = (element) => element?.closest?.("[data-row]");

  alerts.focusRow = function (row) {
    const line = document.querySelector(`.alerts [data-row="${CSS.escape(row)}"] > .alert-line`);
    line?.focus({ preventScroll: true });
    return Boolean(line);
  };

  /** The line whose place on the screen is kept: the focused one, else the first that can be seen. */
  function anchor() {
    const focused = rowOf(document.activeElement);
    if (focused) return focused;
    return window.scrollY > 0 ? rowOf(lines().find((line) => line.getBoundingClientRect().bottom > HEADER_PX)) : null;
  }
  /** Paint, without a jump and without losing the focus. */
  alerts.paint = function (parts) {
    const kept = anchor(), row = kept?.dataset.row, top = kept?.getBoundingClientRect().top, had = kept?.contains(document.activeElement);
    voltledger.paint(parts, Object.keys(parts));
    if (row === undefined) return;
    if (had && !kept.isConnected) alerts.focusRow(row);
    const after = document.querySelector(`.alerts [data-row="${CSS.escape(row)}"]`);
    const moved = after ? after.getBoundingClientRect().top - top : 0;
    if (after && after !== kept && Math.abs(moved) > 1) window.scrollBy(0, moved);
  };

  function step(by) {
    const all = lines(), at = all.findIndex((line) => line === document.activeElement);
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }
  /** What the keys and buttons are about: the focused line's alert, or the page's. */
  function about(element) {
    const found = rowOf(element) ?? document.querySelector("#alert-head [data-row]");
    return found?.dataset.rule ? found.dataset : null;
  }
  function act(what, element) {
    const one = about(element);
    if (!one) return false;
    if (one.open === undefined) alerts.say("This alert is resolved: nothing is left to do.");
    else alerts[what](one);
    return true;
  }
  const back = () => { const crumb = document.querySelector(".alerts .crumb"); crumb?.click(); return Boolean(crumb); };
  const search = () => { const input = document.querySelector(".alerts .filter-q input"); input?.focus(); return Boolean(input); };
  const KEYS = {
    j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
    a: () => act("acknowledge", document.activeElement), s: () => act("silence", document.activeElement), "?": () => alerts.keys(), "/": search, u: back,
  };
  const typing = (target) => target.closest?.("input, textarea, select, dialog, [role=listbox], [role=combobox], [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (!here() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const key = KEYS[event.key];
    if (!key) return;
    const arrow = event.key.startsWith("Arrow");
    if (arrow && !lines().length) return; // then it scrolls
    if (key() !== false) event.preventDefault();
  });

  const BUTTONS = {
    "[data-acknowledge]": (button) => act("acknowledge", button), "[data-silence]": (button) => act("silence", button), "[data-new-silence]": () => alerts.silence(null),
    "[data-end-silence]": alerts.endSilence, "[data-alert-keys]": alerts.keys, "[data-clear-filters]": (button) => alerts.clear(button.dataset.clearFilters),
  };
  document.addEventListener("click", (event) => {
    for (const [selector, does] of Object.entries(BUTTONS)) {
      const button = event.target.closest?.(selector);
      if (button) return does(button);
    }
    return undefined;
  });

  alerts.clear = function (page) {
    window.dash_clientside.set_props(`${page}-q`, { value: "" });
    for (const name of ["state", "severity", "rule", "site"]) window.dash_clientside.set_props(`${page}-${name}`, { value: null });
    byId(`${page}-q`)?.focus();
  };
})();
