// The server's cards as elements: [tag, attributes, children], where text is only ever a text node. See dashboard/components/plain.py.
(function () {
  "use strict";
  const { voltledger } = window;
  const shown = new WeakMap(); // element → what it was painted with

  function build(part) {
    if (typeof part === "string") return document.createTextNode(part);
    const [tag, attributes, children] = part;
    const element = tag ? document.createElement(tag) : document.createDocumentFragment();
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "style") for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
      else element.setAttribute(name, value);
    }
    for (const child of children) if (child !== null) element.append(build(child));
    return element;
  }

  const name = (details, all) => details.closest("[data-key]")?.dataset.key ?? String(all.indexOf(details));
  /** What the viewer did to a card: which details are open and how far its parts are scrolled. */
  function kept(box) {
    const all = [...box.querySelectorAll("details")];
    return { open: new Set(all.filter((one) => one.open).map((one) => name(one, all))), scrolled: [...box.querySelectorAll(".scroll-x")].map((one) => [one.scrollLeft, one.scrollTop]) };
  }
  function restore(box, { open, scrolled }) {
    const all = [...box.querySelectorAll("details")];
    for (const one of all) one.open = open.has(name(one, all));
    box.querySelectorAll(".scroll-x").forEach((one, i) => { if (scrolled[i]) [one.scrollLeft, one.scrollTop] = scrolled[i]; });
  }

  const FOCUSABLE = "a[href], button, input, select, summary, textarea, [tabindex]";
  const alike = (one) => `${one.tagName} ${one.id || one.getAttribute("href") || one.textContent}`;
  /** `box` gets other children; whoever was on one of them with the keyboard is then on the like of it, if there still is one. */
  voltledger.refill = function (box, children) {
    const on = box.contains(document.activeElement) ? document.activeElement : null;
    const before = on && [...box.querySelectorAll(FOCUSABLE)].filter((one) => alike(one) === alike(on)).indexOf(on);
    box.replaceChildren(...children);
    if (on) [...box.querySelectorAll(FOCUSABLE)].filter((one) => alike(one) === alike(on))[before]?.focus({ preventScroll: true });
  };

  /** Each element of `parts` (id → card) shows its card; one that did not change is not touched. Null empties `ids`. */
  voltledger.paint = function (parts, ids) {
    for (const id of ids) {
      const box = document.getElementById(id), part = parts?.[id] ?? null, text = JSON.stringify(part);
      if (!box || shown.get(box) === text) continue;
      const before = kept(box);
      voltledger.refill(box, part === null ? [] : [build(part)]);
      restore(box, before);
      shown.set(box, text);
    }
  };
})();
