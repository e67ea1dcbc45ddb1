// A position by a click on our own map, for those who do not know degrees by heart.
(function () {
  "use strict";
  const { voltledger } = window;
  const { admin } = voltledger;
  const place = { map: null, base: null, mark: null, form: null };
  const frame = () => document.getElementById("place-frame");
  const DIGITS = 6; // a tenth of a metre
  const NEAR = 12, NOWHERE = [50.2, 9.5]; // as the fleet's map begins

  function typed() {
    const [lat, lon] = ["latitude", "longitude"].map((name) => place.form?.get(name)?.value.trim());
    const at = [Number(lat), Number(lon)];
    return lat && lon && Math.abs(at[0]) <= 90 && Math.abs(at[1]) <= 180 ? at : null;
  }
  /** Where the map looks first: at the position, at the site's, else at everything that has one. */
  function look(at) {
    const { meters, sites } = admin.lists, site = sites.find((one) => one.siteId === place.form?.get("siteId")?.value && one.latitude !== null);
    const known = [...meters, ...sites].filter((one) => one.latitude !== null).map((one) => [one.latitude, one.longitude]);
    if (at ?? site) place.map.setView(at ?? [site.latitude, site.longitude], NEAR, { animate: false });
    else if (known.length) place.map.fitBounds(known, { padding: [20, 20], maxZoom: NEAR, animate: false });
    else place.map.setView(NOWHERE, 4, { animate: false });
  }
  function show({ move = false } = {}) {
    if (!place.map) return;
    const at = typed();
    place.mark?.remove();
    place.mark = at ? window.L.circleMarker(at, { radius: 8, className: "place-mark" }).addTo(place.map) : null;
    if (move) look(at);
  }
  function take({ lat, lng }) {
    const wrapped = ((((lng + 180) % 360) + 360) % 360) - 180;
    place.form?.set("latitude", String(Number(lat.toFixed(DIGITS))));
    place.form?.set("longitude", String(Number(wrapped.toFixed(DIGITS))));
    show();
  }

  /** The form whose latitude and longitude the map sets. */
  place.open = function (form) {
    place.form = form;
    frame().hidden = false;
    for (const name of ["latitude", "longitude"]) form.get(name).addEventListener("input", () => show());
    setTimeout(() => { place.map?.invalidateSize({ pan: false }); show({ move: true }); }, 0);
  };
  place.hide = function () { if (frame()) frame().hidden = true; place.form = null; };
  place.middle = () => place.map && take(place.map.getCenter());

  function attach(map) {
    place.map = map;
    if (!map.getContainer().closest("[data-tiles]")) {
      place.base = voltledger.canvasLayer("voltledger-base", 150, voltledger.basemap.draw).addTo(map);
      voltledger.basemap.load().then(() => place.base?.redraw());
    }
    map.attributionControl?.setPrefix(false);
    map.on("click", ({ latlng }) => take(latlng));
    const sized = new ResizeObserver(() => place.map === map && map.invalidateSize({ pan: false }));
    sized.observe(map.getContainer());
    map.on("unload", () => { sized.disconnect(); if (place.map === map) Object.assign(place, { map: null, base: null, mark: null }); });
    show({ move: true });
  }
  window.addEventListener("voltledger:scheme", () => place.base?.redraw());
  place.hook = function () {
    if (place.hooked || !window.L) return;
    place.hooked = true;
    window.L.Map.addInitHook(function () { this.whenReady(() => setTimeout(() => this.getContainer().closest("#place-frame") && attach(this), 0)); });
  };
  place.hook();
  admin.place = place;
})();
