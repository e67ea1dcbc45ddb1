// The panel for colours and time zone closes like a menu: by a press elsewhere, by Escape, and when the page changes.
(function () {
  "use strict";
  const open = () => document.querySelector("details.display[open]");

  document.addEventListener("pointerdown", (event) => {
    const panel = open();
    if (panel && !panel.contains(event.target)) panel.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const panel = event.key === "Escape" && open();
    if (!panel) return;
    panel.open = false;
    panel.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    const panel = event.target.closest("a[data-nav]") && open();
    if (panel) panel.open = false;
  });
})();
