// The one picture of the fleet. One request per tick feeds the figures, the map, the table and the alerts, so that they always agree.
(function () {
  "use strict";
  const { voltledger } = window;
  const views = new Set();
  const live = {
    picture: null, // as last received
    serial: 0, // grows with every picture
    changed: null, // rows that differ from the picture before, or null where the whole came
    at: new Map(), // vehicle id → index into the columns
    kinds: [], // what each vehicle is shown as
    failing: false, // the last request did not bring a picture
    inFlight: false,
    asOf: null, // the server's time at which the picture was last known to be right, ms since the epoch
    ahead: 0, // how far the server's clock is ahead of this browser's, ms
    ticks: [], // main-thread ms of the latest updates, for the bench
    parseMs: 0,
    recoveries: 0, // how often the database came back
  };
  let etag = null;

  /** Called with the picture now, if there is one, and whenever it changes. Returns the way out. */
  live.watch = function (view) {
    views.add(view);
    if (live.picture || live.failing) view(live);
    return () => views.delete(view);
  };
  live.show = () => views.forEach((view) => view(live));
  live.stale = () => live.failing || Boolean(live.picture?.stale);

  /** A copy of the column with its new values; their rows, each given as its distance from the one before, are noted in `changed`. */
  function patched(column, { rows, values }, changed) {
    const after = column.slice();
    let row = 0;
    for (let k = 0; k < rows.length; k++) {
      row += rows[k];
      after[row] = values[k];
      changed.add(row);
    }
    return after;
  }

  /** The picture that comes out of the one we have and what changed since. */
  function merged({ since, vehicles, ...rest }) {
    if (`"${since}"` !== etag || !live.picture) throw new Error("changes of another picture");
    const changed = new Set(), columns = { ...live.picture.vehicles };
    for (const [name, change] of Object.entries(vehicles)) columns[name] = patched(columns[name], change, changed);
    live.changed = changed;
    return { ...live.picture, ...rest, vehicles: columns };
  }

  function accept(answer) {
    if (answer.since) {
      live.picture = merged(answer);
    } else {
      if (!answer.figures) throw new Error("the server has no picture yet");
      Object.assign(live, { picture: answer, changed: null });
      const ids = answer.vehicles.id;
      if (ids.length !== live.at.size || ids.some((id, index) => live.at.get(id) !== index)) live.at = new Map(ids.map((id, index) => [id, index]));
    }
    live.serial += 1;
    const { verdict, severity } = live.picture.vehicles;
    live.kinds = verdict.map((one, i) => voltledger.kinds.of(one, severity[i]));
  }

  async function ask() {
    if (voltledger.first) {
      const first = voltledger.first;
      voltledger.first = null;
      const answer = await first;
      if (answer) return answer;
    }
    const since = etag ? `?since=${etag.replaceAll('"', "")}` : "";
    return window.fetch(`/live/fleet${since}`, { cache: "no-store", credentials: "same-origin", headers: etag ? { "If-None-Match": etag } : {} });
  }

  /** Nothing changed and nobody is away: what is on the screen is right as of now. */
  function confirm(answer) {
    const date = Date.parse(answer.headers.get("Date") ?? "");
    live.ahead = Number.isNaN(date) ? 0 : date - Date.now();
    live.asOf = live.picture.stale ? Date.parse(live.picture.asOf) : Date.now() + live.ahead;
  }

  async function receive(answer) {
    if (answer.status === 304) { confirm(answer); return false; }
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const text = await answer.text();
    const started = performance.now();
    try {
      accept(JSON.parse(text));
    } catch (error) {
      etag = null; // whatever was wrong with it, the whole is asked for next
      throw error;
    }
    live.parseMs = performance.now() - started;
    etag = answer.headers.get("ETag")?.replace(/^W\//, "") ?? null; // something in between may have made it a weak one
    confirm(answer);
    return true;
  }

  /** What the answer means for the screen: "same", "new" or "failing". */
  async function outcome() {
    try {
      return (await receive(await ask())) ? "new" : "same";
    } catch {
      return "failing";
    }
  }

  /** Ask once; never twice at a time. */
  live.tick = async function () {
    if (live.inFlight || document.hidden) return;
    live.inFlight = true;
    const before = live.failing, wasStale = live.stale(), now = await outcome();
    live.inFlight = false;
    live.failing = now === "failing";
    if (wasStale && !live.stale()) live.recoveries += 1;
    if (now === "same" && !before) return voltledger.views.ages();
    const started = performance.now();
    live.show();
    if (now === "new") live.ticks = [...live.ticks.slice(-59), live.parseMs + performance.now() - started];
  };

  /** A vehicle's row of the picture as an object, or null. */
  live.vehicle = function (id) {
    const index = live.at.get(id);
    if (index === undefined) return null;
    return Object.fromEntries(Object.entries(live.picture.vehicles).map(([name, column]) => [name, column[index]]));
  };
  live.kind = (index) => live.kinds[index];
  live.now = () => (Date.now() + live.ahead) / 1000;

  voltledger.live = live;
  for (const event of ["voltledger:zone", "voltledger:scheme"]) window.addEventListener(event, () => live.picture && live.show());
  document.addEventListener("visibilitychange", () => live.tick());
})();
