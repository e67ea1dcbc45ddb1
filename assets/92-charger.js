// The charger's page: when which part of it is asked for, and where its cards go.
(function () {
  "use strict";
  const { voltledger } = window;
  const clientside = window.dash_clientside;

  // Seconds between two questions of a part. A meter reports once a minute; 30 days do not change their mind within minutes.
  const PACE_S = { live: 15, window: 60, judged: 300 };
  const CARDS = {
    live: ["charger-now", "charger-readings"],
    window: ["charger-past", "charger-energy", "charger-sessions"],
    chart: ["charger-shown", "charger-history", "charger-bars"],
    judged: ["charger-verdict", "charger-matrix", "charger-assignments"],
  };
  const asked = new Map(); // part → of which charger, when, and how often the database had come back

  Object.assign(clientside.voltledger, {
    /** A number that grows when this part is due: after its pace while the database answers, and at once when that came back. A fixed window only then. */
    chargerDue(_, meterId, range, before, id) {
      const part = id.split("-")[1], { live } = voltledger, now = window.performance.now() / 1000, last = asked.get(part);
      if (before === null || before === undefined || last?.meterId !== meterId) { asked.set(part, { meterId, at: now, recoveries: live.recoveries }); return 0; }
      const back = last.recoveries !== live.recoveries, still = part === "window" && range === "chosen";
      if (!back && (still || document.hidden || live.stale() || now - last.at < PACE_S[part])) return clientside.no_update;
      asked.set(part, { meterId, at: now, recoveries: live.recoveries });
      return before + 1;
    },
    /** Fills the cards with what the server drew, or empties them for another charger. */
    chargerPainted(live, window_, judged, chart) {
      voltledger.paint(live, CARDS.live);
      voltledger.paint(window_, CARDS.window);
      voltledger.paint(judged, CARDS.judged);
      voltledger.paint(chart, CARDS.chart);
      return null;
    },
  });
})();
