// A report on its way into a file: read as it comes, counted, checked at its end, and saved only if it is whole.
(function () {
  "use strict";
  const { voltledger } = window;
  const PART_BYTES = 8 << 20; // handed to the browser's own store, so that a large file need not fit into the page's memory
  const SAY_EVERY_MS = 200;
  const QUOTE = 34, LINE = 10;
  const ROW_OF_JSON = '"computedAtUtc":"'; // the last cell of each; within a text its quotes would be escaped

  /** What was broken off or refused, in words. */
  class Failure extends Error {
    constructor(words, more = {}) { super(words); Object.assign(this, more); }
  }

  // ---- counting rows while they pass ----
  function csvRows() {
    let count = -1, quoted = false, last = 0; // the names are no row
    return {
      add(bytes) { for (const byte of bytes) { if (byte === QUOTE) quoted = !quoted; else if (byte === LINE && !quoted) count += 1; last = byte; } },
      rows: () => Math.max(0, count),
      whole: () => count >= 0 && last === LINE && !quoted,
    };
  }
  function jsonRows() {
    const decoder = new TextDecoder("latin1");
    let count = 0, tail = "";
    return {
      add(bytes) {
        const text = tail + decoder.decode(bytes, { stream: true });
        count += text.split(ROW_OF_JSON).length - 1;
        tail = text.slice(-(ROW_OF_JSON.length - 1));
      },
      rows: () => count,
      whole: () => tail.endsWith("}") && Number(/"count":(\d+)}$/.exec(tail)?.[1]) === count,
    };
  }
  function parquetRows() {
    let tail = "";
    return { add(bytes) { tail = (tail + String.fromCharCode(...bytes.slice(-4))).slice(-4); }, rows: () => null, whole: () => tail === "PAR1" };
  }
  const COUNTERS = { csv: csvRows, json: jsonRows, parquet: parquetRows };

  function collected() {
    const parts = [];
    let some = [], size = 0, total = 0;
    const flush = () => { if (some.length) parts.push(new Blob(some)); some = []; size = 0; };
    return {
      add(bytes) { some.push(bytes); size += bytes.length; total += bytes.length; if (size >= PART_BYTES) flush(); },
      bytes: () => total,
      blob(type) { flush(); return new Blob(parts, { type }); },
    };
  }

  // ---- the transfer ----
  /** What the server says when it does not send a file: its words, the fields it names, and when to come back. */
  async function problem(answer) {
    const told = await answer.json().catch(() => ({}));
    const busy = answer.status === 503 && String(told.type).endsWith(":exports_busy");
    return new Failure(told.detail ?? `The server answered ${answer.status}.`, { status: answer.status, errors: told.errors ?? [], busy, retryAfterS: Number(answer.headers.get("Retry-After")) || 5 });
  }
  const nameOf = (answer, fallback) => /filename="?([^";]+)/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? fallback;

  /** Reads it to the end; `say` is told what has come so far. Raises Failure, or AbortError where `signal` says so. */
  async function transfer(url, form, signal, say) {
    const answer = await window.fetch(url, { signal, cache: "no-store", credentials: "same-origin" });
    if (!answer.ok) throw await problem(answer);
    const vehicles = Number(answer.headers.get("X-Total-Vehicles")) || null, reader = answer.body.getReader();
    const file = collected(), counter = COUNTERS[form](), began = performance.now();
    const state = () => ({ name: nameOf(answer, `voltledger.${form}`), vehicles, bytes: file.bytes(), rows: counter.rows(), seconds: (performance.now() - began) / 1000 });
    let said = -Infinity;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      file.add(value);
      counter.add(value);
      if (performance.now() - said > SAY_EVERY_MS) { said = performance.now(); say(state()); }
    }
    if (!counter.whole()) throw new Failure("The transfer ended before the file did.");
    return { ...state(), blob: file.blob(answer.headers.get("Content-Type") ?? "application/octet-stream") };
  }

  /** A report of every vehicle has a row for each: one that has fewer is not whole, whatever its last byte says. */
  function complete(got, everyVehicle) {
    if (everyVehicle && got.vehicles !== null && got.rows !== null && got.rows !== got.vehicles)
      throw new Failure(`The file has ${got.rows} rows, but the report goes through ${got.vehicles} vehicles.`);
    return got;
  }

  function save({ blob, name }) {
    const href = URL.createObjectURL(blob), link = voltledger.h("a", { href, download: name, hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(href), 60_000);
  }

  const pause = (seconds, signal, say) =>
    new Promise((resolve, reject) => {
      let left = seconds;
      const end = () => { clearInterval(timer); reject(new DOMException("cancelled", "AbortError")); };
      const timer = setInterval(() => { left -= 1; if (left > 0) say(left); else { clearInterval(timer); signal.removeEventListener("abort", end); resolve(); } }, 1000);
      signal.addEventListener("abort", end, { once: true });
      say(left);
    });

  const download = { job: null };
  /** One file at a time. `show` is told {state: running | waiting | done | failed | cancelled, …}. */
  download.start = async function ({ url, format: form, everyVehicle }, show) {
    if (download.job) return;
    const job = (download.job = new AbortController());
    try {
      for (;;) {
        try {
          show({ state: "running", bytes: 0, rows: null, vehicles: null, seconds: 0 });
          const got = complete(await transfer(url, form, job.signal, (now) => show({ state: "running", everyVehicle, ...now })), everyVehicle);
          save(got);
          return show({ state: "done", ...got });
        } catch (error) {
          if (!error.busy) throw error;
          await pause(error.retryAfterS, job.signal, (left) => show({ state: "waiting", words: error.message, left }));
        }
      }
    } catch (error) {
      if (job.signal.aborted) return show({ state: "cancelled" });
      show({ state: "failed", words: error instanceof Failure ? error.message : "The connection was broken off.", errors: error.errors ?? [] });
    } finally {
      download.job = null;
    }
  };
  download.cancel = () => download.job?.abort();
  window.addEventListener("beforeunload", (event) => { if (download.job) event.preventDefault(); });

  voltledger.reportDownload = Object.assign(download, { problem, Failure, counters: COUNTERS });
})();
