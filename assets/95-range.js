// Any range of a page with charts: two times on the viewer's clocks become the address, which is what the server is asked.
(function () {
  "use strict";
  const { voltledger } = window;
  const FIELDS = ["from", "to"];
  const field = (form, name) => document.getElementById(`${form.id}-${name}`);

  /** Opened: it shows what the address says, or the last day. */
  document.addEventListener("toggle", (event) => {
    const form = event.target.matches?.(".range-any") && event.target.open && event.target.querySelector("form");
    if (!form) return;
    const asked = new URLSearchParams(window.location.search), now = voltledger.live.now() * 1000;
    const shown = { from: asked.get("from") ?? new Date(now - 86_400_000).toISOString(), to: asked.get("to") ?? new Date(now).toISOString() };
    for (const name of FIELDS) field(form, name).value = voltledger.admin.typed(shown[name]).slice(0, 16);
    field(form, "from").focus();
  }, true);

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-any-range]")) return;
    event.preventDefault();
    const [from, to] = FIELDS.map((name) => voltledger.admin.instant(field(form, name).value));
    const said = document.getElementById(`${form.id}-said`);
    if (!from || !to) { said.textContent = "Both times are needed."; return; }
    if (Date.parse(from) >= Date.parse(to)) { said.textContent = "The range ends before it begins."; return; }
    said.textContent = "";
    voltledger.go(`${window.location.pathname}?from=${from}&to=${to}`);
  });

  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest?.(".range-any[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
})();
