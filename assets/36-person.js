// Who is logged in: their name in the header, the way out, and nothing offered that is not for their role. The server judges all of it anew.
(function () {
  "use strict";
  const { voltledger } = window;
  const { who, email, role } = document.documentElement.dataset;

  function name() {
    const at = document.getElementById("person-name");
    if (!at || at.textContent) return;
    at.textContent = who;
    document.getElementById("person-role").textContent = `${email} · ${role}`;
  }
  /** Who is somebody else to the record than they are here cannot be typed. */
  function fixed() {
    for (const id of ["admin-field-by", "admin-file-by"]) {
      const input = document.getElementById(id);
      if (input && !input.readOnly) Object.assign(input, { readOnly: true, value: email });
    }
  }
  async function logOut() {
    const answer = await window.fetch("/log-out", { method: "POST", redirect: "manual", credentials: "same-origin" }).catch(() => null);
    if (answer) window.location.assign("/log-in");
  }
  if (role) {
    new MutationObserver(() => { name(); fixed(); }).observe(document.documentElement, { childList: true, subtree: true });
    document.addEventListener("click", (event) => event.target.closest?.("[data-log-out]") && logOut());
    // Keys that act on an alert, for those who may not.
    if (!voltledger.may("tend")) document.addEventListener("keydown", (event) => ["a", "s"].includes(event.key) && document.querySelector("#alerts-page, #alert-page, #history-page") && !event.target.closest?.("input, textarea, select") && event.stopImmediatePropagation(), true);
  }
})();
