// A Leaflet layer that is one canvas, larger than the map by a margin: panning moves it, and it is drawn anew when the margin is used up
// or the zoom changes. Leaflet's own renderer does the placing and the zoom animation.
(function () {
  "use strict";
  const { voltledger } = window;

  voltledger.canvasLayer = function (pane, zIndex, draw) {
    const L = window.L;
    const Layer = L.Renderer.extend({
      options: { padding: 0.35, pane },
      initialize(options) { L.Renderer.prototype.initialize.call(this, options); this._layers = {}; },
      getEvents() { return { ...L.Renderer.prototype.getEvents.call(this), move: this._moved }; },
      onAdd(map) {
        if (!map.getPane(pane)) Object.assign(map.createPane(pane).style, { zIndex, pointerEvents: "none" });
        L.Renderer.prototype.onAdd.call(this, map);
      },
      _initContainer() {
        this._container = document.createElement("canvas");
        this._ctx = this._container.getContext("2d");
        this._container.setAttribute("aria-hidden", "true");
      },
      _destroyContainer() { this._container.remove(); delete this._container; },
      _updatePaths() {},
      _moved() {
        const size = this._map.getSize(), topLeft = this._map.containerPointToLayerPoint([0, 0]);
        if (this._bounds && !(this._bounds.contains(topLeft) && this._bounds.contains(topLeft.add(size)))) this._update();
      },
      _update() {
        if (this._map._animatingZoom && this._bounds) return;
        L.Renderer.prototype._update.call(this);
        const size = this._bounds.getSize(), ratio = window.devicePixelRatio || 1;
        const width = Math.round(size.x * ratio), height = Math.round(size.y * ratio);
        if (this._container.width !== width || this._container.height !== height) {
          this._container.width = width;
          this._container.height = height;
          Object.assign(this._container.style, { width: `${size.x}px`, height: `${size.y}px` });
        }
        L.DomUtil.setPosition(this._container, this._bounds.min);
        this.redraw();
      },
      /** The window of the world this canvas shows, in pixels of the current zoom. */
      view() {
        const origin = this._map.getPixelOrigin().add(this._bounds.min), size = this._bounds.getSize(), zoom = this._map.getZoom();
        return { zoom, scale: 256 * 2 ** zoom, left: origin.x, top: origin.y, width: size.x, height: size.y };
      },
      redraw() {
        if (!this._map || !this._bounds || this._map._animatingZoom) return;
        const ratio = window.devicePixelRatio || 1, view = this.view();
        this._ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
        this._ctx.clearRect(0, 0, view.width, view.height);
        draw(this._ctx, view);
      },
    });
    return new Layer();
  };
})();
