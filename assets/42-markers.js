// How a vehicle and a group of vehicles look on a canvas: shape and colour by verdict, a ring while charging, pale while silent.
(function () {
  "use strict";
  const { voltledger } = window;
  const polygon = (corners, radius, turn) => (ctx) => {
    for (let i = 0; i < corners; i++) {
      const angle = turn + (i * 2 * Math.PI) / corners;
      ctx[i ? "lineTo" : "moveTo"](radius * Math.cos(angle), radius * Math.sin(angle));
    }
    ctx.closePath();
  };
  const disc = (radius) => (ctx) => ctx.arc(0, 0, radius, 0, 2 * Math.PI);
  const bars = (turn) => (ctx) => {
    const a = 1.7, b = 5.6, corners = [[-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a]];
    corners.forEach(([x, y], i) => ctx[i ? "lineTo" : "moveTo"](x * Math.cos(turn) - y * Math.sin(turn), x * Math.sin(turn) + y * Math.cos(turn)));
    ctx.closePath();
  };
  const SHAPES = {
    circle: disc(5.2),
    ring: (ctx) => { disc(5)(ctx); ctx.moveTo(2.4, 0); ctx.arc(0, 0, 2.4, 0, -2 * Math.PI, true); },
    dot: disc(3.4),
    triangle: polygon(3, 7.2, -Math.PI / 2),
    diamond: polygon(4, 7.6, 0),
    square: polygon(4, 7, Math.PI / 4),
    hexagon: polygon(6, 6, 0),
    pentagon: polygon(5, 6.2, -Math.PI / 2),
    plus: bars(0),
    cross: bars(Math.PI / 4),
  };
  const HALF = 14; // px from a sprite's middle to its edge

  function sprite(kind, charging, ratio) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = HALF * 2 * ratio;
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, HALF * ratio, HALF * ratio);
    const colour = voltledger.kinds.colour(kind);
    if (charging) {
      ctx.beginPath();
      ctx.arc(0, 0, 10.5, 0, 7);
      ctx.globalAlpha = 0.22;
      ctx.fillStyle = colour;
      ctx.fill();
      ctx.globalAlpha = 0.9;
      ctx.lineWidth = 1.2;
      ctx.strokeStyle = colour;
      ctx.stroke();
      ctx.globalAlpha = 1;
    }
    ctx.beginPath();
    SHAPES[voltledger.kinds.shape(kind)](ctx);
    ctx.lineWidth = 2.6;
    ctx.lineJoin = "round";
    ctx.strokeStyle = voltledger.token("--map-outline");
    ctx.stroke();
    ctx.fillStyle = colour;
    ctx.fill("evenodd");
    return canvas;
  }

  let sprites = new Map();
  window.addEventListener("voltledger:scheme", () => { sprites = new Map(); });

  /** Draws one vehicle with its middle at (x, y). */
  function vehicle(ctx, x, y, kind, charging, silent) {
    const ratio = window.devicePixelRatio || 1, key = `${kind}|${charging}|${ratio}`;
    if (!sprites.has(key)) sprites.set(key, sprite(kind, charging, ratio));
    ctx.globalAlpha = silent ? 0.45 : 1;
    ctx.drawImage(sprites.get(key), x - HALF, y - HALF, HALF * 2, HALF * 2);
    ctx.globalAlpha = 1;
  }

  const radius = (count) => 12 + Math.min(14, 2.6 * Math.log2(count));

  /** A group: how many, and a ring of what they are, worst first from the top; the worst always has a visible share. */
  function group(ctx, x, y, count, kinds) {
    const r = radius(count);
    ctx.beginPath();
    ctx.arc(x, y, r + 3, 0, 7);
    ctx.fillStyle = voltledger.token("--map-outline");
    ctx.fill();
    const entries = [...kinds].sort((a, b) => voltledger.kinds.rank(a[0]) - voltledger.kinds.rank(b[0]));
    const shares = entries.map(([, n]) => Math.max(n / count, 0.07)), sum = shares.reduce((a, b) => a + b, 0);
    let angle = -Math.PI / 2;
    ctx.lineWidth = 4;
    entries.forEach(([kind], i) => {
      const end = angle + (shares[i] / sum) * 2 * Math.PI;
      ctx.beginPath();
      ctx.arc(x, y, r, angle, end);
      ctx.strokeStyle = voltledger.kinds.colour(kind);
      ctx.stroke();
      angle = end;
    });
    ctx.fillStyle = voltledger.token("--map-count");
    ctx.font = `600 ${r > 18 ? 12.5 : 11}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(count.toLocaleString("en-GB"), x, y + 0.5);
  }

  function halo(ctx, x, y, r) {
    ctx.beginPath();
    ctx.arc(x, y, r, 0, 7);
    ctx.lineWidth = 2.5;
    ctx.strokeStyle = voltledger.token("--accent");
    ctx.stroke();
  }

  voltledger.markers = { vehicle, group, halo, radius, reach: 11 };
})();
