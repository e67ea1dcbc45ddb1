// What a verdict looks like. A kind is a verdict, but `low` with severity critical is a kind of its own. Worst first: that order decides
// what a cluster shows, what lies on top and how tables sort. dashboard/components/verdict.py says the same to the server; a test compares.
(function () {
  "use strict";
  const { voltledger } = window;

  const KINDS = [
    { kind: "critical", label: "Critically low", shape: "diamond" },
    { kind: "low", label: "Low", shape: "triangle" },
    { kind: "suspect_measurement", label: "Suspect measurement", shape: "square" },
    { kind: "charged_elsewhere", label: "Charged elsewhere", shape: "plus" },
    { kind: "insufficient_data", label: "Too little evidence", shape: "ring" },
    { kind: "shared_meter", label: "Shared meter", shape: "hexagon" },
    { kind: "conditioning", label: "Conditioning", shape: "pentagon" },
    { kind: "unmapped", label: "No meter", shape: "cross" },
    { kind: "ok", label: "As expected", shape: "circle" },
    { kind: "not_charging", label: "Not charging", shape: "dot" },
  ];
  const rank = new Map(KINDS.map((entry, index) => [entry.kind, index]));

  const colours = new Map();
  /** A colour of the present scheme from the style sheet; asked for once, since a style is dear to compute. */
  voltledger.token = function (name) {
    if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888");
    return colours.get(name);
  };
  window.addEventListener("voltledger:scheme", () => colours.clear());

  voltledger.kinds = {
    all: KINDS,
    rank: (kind) => rank.get(kind) ?? KINDS.length,
    label: (kind) => KINDS[rank.get(kind)]?.label ?? kind,
    shape: (kind) => KINDS[rank.get(kind)]?.shape ?? "dot",
    of: (verdict, severity) => (verdict === "low" && severity === "critical" ? "critical" : verdict),
    colour: (kind) => voltledger.token(`--kind-${kind.replaceAll("_", "-")}`),
  };
})();
