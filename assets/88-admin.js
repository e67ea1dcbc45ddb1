// The admin page as a whole: reads what its tab needs when it is drawn and after every change, never on the clock; says when it cannot.
(function () {
  "use strict";
  const { voltledger } = window;
  const { admin, format } = voltledger;
  const page = () => document.getElementById("admin-page");
  const AGAIN_MS = 5_000;
  let tab = null, readAt = null, recoveries = 0, again = null;

  /** Lists that could not be read, in words; nothing where all is well. */
  admin.note = function (words) {
    const box = document.getElementById("admin-note");
    if (!box) return;
    box.hidden = !admin.failed && !words;
    box.textContent = words ?? (readAt ? `The lists could not be read anew; they are as of ${format.clock(readAt)} ${format.zoneName(readAt)}. It is tried again when the database is back.` : "The lists cannot be read yet. It is tried again when the database is back.");
  };
  /** Reads lists anew and shows them; what is being typed is not touched. */
  admin.refresh = async function (names) {
    const of = tab, read = await admin.load(names);
    if (tab !== of || !page()) return;
    const first = read && readAt === null;
    if (read) readAt = admin.now(); else later();
    admin.note();
    if (!readAt) return;
    page().dataset.state = "ready";
    admin.list.fill();
    if (first) begin();
  };
  /** Nothing is offered to be changed before what is there could be read: a form of unread values would empty them. */
  function begin() {
    if (admin.list.picked) admin.list.pick(admin.list.picked);
    tab.mounted?.();
  }
  function later() {
    const of = tab;
    clearTimeout(again);
    again = setTimeout(() => { if (tab === of && page()) admin.refresh(of.lists); }, AGAIN_MS);
  }

  async function mount(name) {
    const of = admin.tabs[name];
    tab = of ?? null;
    readAt = null;
    if (!of) return;
    recoveries = voltledger.live.recoveries;
    admin.place.hook();
    admin.list.attach(of);
    if (admin.known(of.lists)) admin.list.fill(); // as last read, until they are read anew
    await admin.refresh(of.lists);
  }
  /** The database came back: what could not be read is read, and a form that is open stays as it is. */
  voltledger.live.watch(({ recoveries: now }) => {
    if (!tab || !page() || now === recoveries || voltledger.live.stale()) return;
    recoveries = now;
    admin.refresh(tab.lists).then(() => admin.record.show());
  });
  window.addEventListener("voltledger:zone", () => {
    if (!tab || !page()) return;
    admin.list.fill();
    admin.record.show();
    if (admin.list.picked) admin.list.pick(admin.list.picked);
  });

  const ACTIONS = {
    export: () => admin.list.export(),
    middle: () => admin.place.middle(),
    settings: () => {
      const [head, ...rows] = [...document.querySelectorAll(".settings tr")].map((row) => [...row.children].map((cell) => (cell.firstElementChild ?? cell).textContent));
      admin.save("voltledger-settings.csv", head.map((name) => name.toLowerCase().replaceAll(" ", "_")), rows);
    },
    new: () => {
      if (!readAt) return;
      admin.list.pick("");
      document.getElementById("admin-detail-empty").hidden = true;
      tab.pick(tab.fresh());
      document.querySelector("#admin-detail input")?.focus();
    },
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-admin]");
    if (button && page()) ACTIONS[button.dataset.admin]?.();
  });

  Object.assign(window.dash_clientside.voltledger, {
    adminMounted(_, name) {
      mount(name);
      return null;
    },
  });
})();
